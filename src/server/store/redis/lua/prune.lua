-- Forgets, some events at a time: what left its address's history, is not owed, is no retained state, and is older than
-- what is promised (or over what is kept). ARGV: tag, now, first commit to look at, steps, events kept, age of a repeat,
-- age of history, age of a result. Answer: where to go on, or '0' where nothing from there on is old enough.
local cursor, steps, kept_max = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local dedupe_ms, history_ms, result_ms = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])

-- Retained state, or owed by a display.
local function is_needed(commit, address, queue)
  if queue == '' then return false end
  if queue ~= 'action' and call('HGET', P .. 'state:' .. address, queue) == commit then return true end
  for _, receipt in ipairs(call('HVALS', P .. 'ledger:' .. commit)) do
    if receipt == '' then return true end
  end
  return false
end

local function forget(commit, id)
  local same = call('HGET', P .. 'ids', id)
  if same then
    local rest = {}
    for one in string.gmatch(same, '%d+') do
      if one ~= commit then rest[#rest + 1] = one end
    end
    if #rest == 0 then call('HDEL', P .. 'ids', id) else call('HSET', P .. 'ids', id, table.concat(rest, ' ')) end
  end
  call('DEL', P .. 'event:' .. commit, P .. 'ledger:' .. commit)
  call('HINCRBY', META, 'events', -1)
end

local next_from = '0'
local rows = call('XRANGE', P .. 'ages', cursor .. '-0', '+', 'COUNT', steps)
for index, row in ipairs(rows) do
  local commit = string.match(row[1], '^%d+')
  local age, hash = math.max(0, NOW - tonumber(row[2][2])), row[2][4]
  local crowded = tonumber(call('HGET', META, 'events') or '0') > kept_max
  local aged = age >= dedupe_ms
  if not aged and not crowded and age < history_ms then break end
  local event = call('HMGET', P .. 'event:' .. commit, 'place', 'offset', 'queue', 'id', 'entry')
  if event[1] then
    local history = P .. 'history:' .. event[1]
    local entry = event[5] or event[2] .. '-0'
    local there = call('XRANGE', history, entry, entry)[1]
    -- A display that was removed and came back has a history of the same name: the number tells.
    local in_history = there and there[2][2] == commit
    if in_history and age >= history_ms then
      local oldest = call('XRANGE', history, '-', '+', 'COUNT', 1)[1]
      -- Only the oldest goes, so that what is left has no gap.
      if oldest[1] == there[1] then
        call('XDEL', history, there[1])
        in_history = false
      end
    end
    if (aged or crowded) and not in_history and not is_needed(commit, event[1], event[3]) then
      forget(commit, event[4])
      event[1] = false
    end
  end
  if aged and not event[1] then
    call('HDEL', P .. 'dedupe', hash)
    call('XDEL', P .. 'ages', row[1])
  end
  if index == steps then next_from = int(tonumber(commit) + 1) end
end

-- Results of an age at which nobody looks at them.
for _, result in ipairs(call('ZRANGEBYSCORE', P .. 'all_results', '-inf', int(NOW - result_ms), 'LIMIT', 0, 16)) do
  note('bytes')
  drop_result(string.match(result, '^(%S+) (%S+)$'))
end
return { next_from }
