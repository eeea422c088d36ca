-- Stores a batch of events, all or nothing: everything is checked before the first row is written.
-- ARGV: tag, now, most actions waiting, most states waiting, most ids, most addresses, length of a history, then of each
-- event: hash of source and id, id, source, address, queue ('' where it is no command), expiry ('' for none), and its
-- text without position and closing brace.
-- Answer: 'ok' and of each event: fresh, commit, offset, epoch, address; or a word and what it is about.
local actions_max, states_max = tonumber(ARGV[3]), tonumber(ARGV[4])
local ids_max, addresses_max, history_max = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local FIRST, FIELDS = 8, 7
-- Ledger rows that one batch may make: some microseconds each, in which nobody else is served.
local ROWS_MAX = 200000
-- Targets that stand in the feed's entry; of more it only says so.
local TARGETS_MAX = 64

local dedupe, ledgers = P .. 'dedupe', 0
local all, groups, fresh, plans, waiting = nil, {}, 0, {}, {}
local meta = call('HMGET', META, 'lineage', 'commit', 'feed', 'life')
local lineage, life = meta[1], meta[4]
if not lineage then return { 'no_store' } end
-- Where each address stands, and of what it and its retained state were before.
local heads, new_addresses, before, states, has_state = {}, 0, {}, {}, {}

local function head_of(address)
  local head = heads[address]
  if not head then
    local generation, last, row = place(address)
    head = { generation = generation, last = last, epoch = epoch(lineage, generation, address) }
    heads[address] = head
    before[#before + 1] = address
    before[#before + 1] = row
    if row == '' then new_addresses = new_addresses + 1 end
  end
  return head
end

local function note_state(address, slot)
  local which = slot .. ' ' .. address
  if has_state[which] then return end
  has_state[which] = true
  for _, word in ipairs({ address, slot, call('HGET', P .. 'state:' .. address, slot) or '' }) do
    states[#states + 1] = word
  end
end

local function targets_of(address)
  local display = string.match(address, '^display/(.+)$')
  if display then return { display } end
  if address == 'all' then
    if not all then
      all = call('HKEYS', P .. 'displays')
      table.sort(all)
    end
    return all
  end
  local group = string.match(address, '^group/(.+)$')
  if not group then return {} end
  if not groups[group] then
    groups[group] = call('SMEMBERS', P .. 'members:' .. group)
    table.sort(groups[group])
  end
  return groups[group]
end

for at = FIRST, #ARGV, FIELDS do
  local hash, address, queue = ARGV[at], ARGV[at + 3], ARGV[at + 4]
  local first = call('HGET', dedupe, hash)
  if first then
    local commit, offset, its_epoch, its_address = string.match(first, '^(%d+) (%d+) (%x+) (.*)$')
    plans[#plans + 1] = { answer = { 0, commit, offset, its_epoch, its_address } }
  else
    fresh = fresh + 1
    local display = string.match(address, '^display/(.+)$')
    if display and call('HEXISTS', P .. 'displays', display) == 0 then return { 'not_enrolled', display } end
    head_of(address)
    if queue ~= '' and queue ~= 'action' then note_state(address, queue) end
    local targets, full = {}, {}
    if queue ~= '' then targets = targets_of(address) end
    if queue == 'action' then
      local room = {}
      for _, target in ipairs(targets) do
        local count = waiting[target]
        if not count then count = tonumber(call('HGET', P .. 'counts', target .. ' action') or '0') end
        if count >= actions_max then
          -- One display that is gone must not silence its whole group.
          if display then return { 'queue_full', target } end
          full[#full + 1] = target
        else
          room[#room + 1] = target
          count = count + 1
        end
        waiting[target] = count
      end
      targets = room
    end
    ledgers = ledgers + #targets + #full
    plans[#plans + 1] = { at = at, targets = targets, full = full }
  end
end
if fresh > 0 then
  if call('HLEN', dedupe) + fresh > ids_max then return { 'full', 'ids' } end
  if new_addresses > 0 and call('HLEN', P .. 'addresses') + new_addresses > addresses_max then
    return { 'full', 'addresses' }
  end
  if ledgers > ROWS_MAX then return { 'full', 'rows' } end
end

local function queue_command(commit, queue, expires, plan)
  for _, display in ipairs(plan.targets) do
    call('HSET', P .. 'ledger:' .. commit, display, '')
    call('ZADD', P .. 'pending:' .. display, commit, commit .. ' ' .. expires .. ' ' .. queue)
    if expires ~= '0' then call('ZADD', P .. 'expiry', expires, commit .. ' ' .. display) end
    local count = call('HINCRBY', P .. 'counts', display .. ' ' .. queue, 1)
    if queue ~= 'action' and count > states_max then
      -- Of a burst of state only the newest few keep a receipt of their own.
      for _, row in ipairs(call('ZRANGE', P .. 'pending:' .. display, 0, -1)) do
        local old, its_queue = string.match(row, '^(%d+) %d+ (.+)$')
        if its_queue == queue then
          supersede(old, display)
          break
        end
      end
    end
  end
  for _, display in ipairs(plan.full) do
    settle_own(commit, display, 'failed', WORDS.queue_full)
  end
end

local answer = { 'ok' }

-- What many events have in common is written together: what a publish costs is the number of its commands.
local commit_number = tonumber(meta[2])
if fresh > 0 then
  note('publish', int(commit_number + 1), fresh, meta[3], before, states)
  call('HINCRBY', META, 'commit', fresh)
  call('HINCRBY', META, 'events', fresh)
end
local known = {}
for _, plan in ipairs(plans) do
  if plan.answer then
    answer[#answer + 1] = plan.answer
  else
    local at = plan.at
    local hash, id, source, address = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
    local queue, expires, text = ARGV[at + 4], ARGV[at + 5], ARGV[at + 6]
    commit_number = commit_number + 1
    local commit = int(commit_number)
    local head = head_of(address)
    head.last = head.last + 1
    local offset = int(head.last)
    local entry = life .. '-' .. offset
    text = text .. ',"epoch":"' .. head.epoch .. '","offset":"' .. offset .. '"}'
    call('HSET', P .. 'event:' .. commit, 'text', text, 'queue', queue, 'expires', expires, 'stored', int(NOW),
      'id', id, 'source', source, 'place', address, 'offset', offset, 'entry', entry)
    local same = call('HGET', P .. 'ids', id)
    if not same then
      call('HSET', P .. 'ids', id, commit)
    else
      -- The newest 64 of one id: as many as are looked at for a receipt that names no source.
      local _, count = string.gsub(same, ' ', ' ')
      if count >= 63 then same = string.gsub(same, '^%d+ ', '') end
      call('HSET', P .. 'ids', id, same .. ' ' .. commit)
    end
    known[#known + 1] = hash
    known[#known + 1] = commit .. ' ' .. offset .. ' ' .. head.epoch .. ' ' .. address
    call('XADD', P .. 'ages', commit .. '-0', 's', int(NOW), 'h', hash)
    call('XADD', P .. 'history:' .. address, 'MAXLEN', history_max, entry, 'c', commit)
    local named = '*'
    if #plan.targets <= TARGETS_MAX then named = table.concat(plan.targets, ' ') end
    feed('e', commit, 't', named)
    if queue ~= '' then
      if queue ~= 'action' then call('HSET', P .. 'state:' .. address, queue, commit) end
      queue_command(commit, queue, expires ~= '' and expires or '0', plan)
    end
    answer[#answer + 1] = { 1, commit, offset, head.epoch, address }
  end
end

-- Some at a time: Lua hands over only so many arguments at once.
local function put(hash, fields)
  for from = 1, #fields, 1000 do call('HSET', hash, unpack(fields, from, math.min(from + 999, #fields))) end
end
put(dedupe, known)
local rows = {}
for address, head in pairs(heads) do
  rows[#rows + 1] = address
  rows[#rows + 1] = head.generation .. ' ' .. int(head.last) .. ' ' .. life
end
put(P .. 'addresses', rows)
return answer
