-- What a display that connects is given. ARGV: tag, now, display, how often an action is given at most, and
-- what is said of one that was given so often.
-- Answer: 'ok', state, actions, the receipts of what lost, commit number of the snapshot; or 'not_enrolled'.
local display, given_max = ARGV[3], tonumber(ARGV[4])
local row = call('HGET', P .. 'displays', display)
if not row then return { 'not_enrolled', display } end
local addresses = { 'all', 'display/' .. display }
for _, group in ipairs(cjson.decode(row).groups) do addresses[#addresses + 1] = 'group/' .. group end
local reached = {}
for _, address in ipairs(addresses) do reached[address] = true end

-- Per slot the newest state that has not expired.
local winners = {}
for _, address in ipairs(addresses) do
  local slots = call('HGETALL', P .. 'state:' .. address)
  for at = 1, #slots, 2 do
    local slot, commit = slots[at], tonumber(slots[at + 1])
    if not winners[slot] or winners[slot].commit < commit then
      local event = load(slots[at + 1])
      if event and (event[4] == '' or tonumber(event[4]) > NOW) then
        winners[slot] = { commit = commit, event = event }
      end
    end
  end
end
local state = {}
for _, winner in pairs(winners) do state[#state + 1] = winner end
table.sort(state, function(one, other) return one.commit < other.commit end)
for index, winner in ipairs(state) do state[index] = winner.event end

local actions, ended = {}, {}
local function end_it(...)
  note('settle', { display })
  ended[#ended + 1] = settle_own(...)
end
for _, waiting in ipairs(call('ZRANGE', P .. 'pending:' .. display, 0, -1)) do
  local commit, queue = string.match(waiting, '^(%d+) %d+ (.+)$')
  if queue ~= 'action' then
    if winners[queue] and winners[queue].commit > tonumber(commit) then
      end_it(commit, display, 'superseded', WORDS.superseded)
    elseif not reached[call('HGET', P .. 'event:' .. commit, 'place') or 'all'] then
      end_it(commit, display, 'superseded', WORDS.left)
    end
  else
    local event = load(commit)
    if event and (event[4] == '' or tonumber(event[4]) > NOW) then
      -- What was given so often and never answered may be what kills the display.
      local given = tonumber(call('HGET', P .. 'given:' .. display, commit) or '0') + 1
      call('HSET', P .. 'given:' .. display, commit, given)
      if given > given_max then
        end_it(commit, display, 'failed', ARGV[5])
      else
        actions[#actions + 1] = event
      end
    end
  end
end
return { 'ok', state, actions, ended, call('HGET', META, 'commit') }
