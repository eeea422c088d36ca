-- For torn/mod.rs: KEYS[1] is {prefix}:meta. Looks at every key, as no server does.
local P = string.sub(KEYS[1], 1, -5)
local call, wrong, all = redis.call, {}, {}
local function say(...) wrong[#wrong + 1] = table.concat({ ... }, ' ') end
local function pairs_of(list)
  local map = {}
  for at = 1, #list, 2 do map[list[at]] = list[at + 1] end
  return map
end
local keys = call('KEYS', P .. '*')
table.sort(keys)
local counts, expiry, events, bytes = {}, {}, 0, 0
for _, key in ipairs(keys) do
  local name = string.sub(key, string.len(P) + 1)
  local commit = string.match(name, '^ledger:(%d+)$')
  if commit then
    if call('EXISTS', P .. 'event:' .. commit) == 0 then say('a ledger without its event', commit) end
    for display, receipt in pairs(pairs_of(call('HGETALL', key))) do
      local waits = call('ZRANGEBYSCORE', P .. 'pending:' .. display, commit, commit)[1]
      if (receipt == '') ~= (waits ~= nil) then say('ledger and queue', commit, display, receipt, waits or '-') end
    end
  end
  local display = string.match(name, '^pending:(.+)$')
  if display then
    for _, row in ipairs(call('ZRANGE', key, 0, -1)) do
      local commit, expires, queue = string.match(row, '^(%d+) (%d+) (.+)$')
      counts[display .. ' ' .. queue] = (counts[display .. ' ' .. queue] or 0) + 1
      if expires ~= '0' then expiry[commit .. ' ' .. display] = true end
      if call('HGET', P .. 'ledger:' .. commit, display) ~= '' then say('waits and is not owed', commit, display) end
    end
  end
  local commit = string.match(name, '^event:(%d+)$')
  if commit then
    events = events + 1
    local event = pairs_of(call('HGETALL', key))
    local there = call('XRANGE', P .. 'history:' .. event.place, event.entry, event.entry)[1]
    local row = call('HGET', P .. 'addresses', event.place) or ''
    -- Of a display that was removed the history is gone.
    if string.match(row, '^0 ') and (not there or there[2][2] ~= commit) then say('not in its history', commit) end
    if not call('XRANGE', P .. 'ages', commit .. '-0', commit .. '-0')[1] then say('not in ages', commit) end
    if not string.find(' ' .. (call('HGET', P .. 'ids', event.id) or '') .. ' ', ' ' .. commit .. ' ', 1, true) then
      say('not under its id', commit)
    end
    if not call('EXISTS', P .. 'ledger:' .. commit) then say('no ledger', commit) end
  end
  local place = string.match(name, '^history:(.+)$')
  if place then
    local last = nil
    for _, entry in ipairs(call('XRANGE', key, '-', '+')) do
      local offset = tonumber(string.match(entry[1], '%d+$'))
      if last and offset ~= last + 1 then say('a gap in', place, 'after', last) end
      last = offset
      if call('HGET', P .. 'event:' .. entry[2][2], 'place') ~= place then say('a foreign event in', place, offset) end
    end
    local row = call('HGET', P .. 'addresses', place) or ''
    if last and string.match(row, '^%d+ (%d+) ') ~= tostring(last) then say('the head of', place, row, last) end
  end
  local place = string.match(name, '^state:(.+)$')
  if place then
    for slot, commit in pairs(pairs_of(call('HGETALL', key))) do
      if call('EXISTS', P .. 'event:' .. commit) == 0 then say('state of no event', place, slot) end
    end
  end
  local display = string.match(name, '^results:(.+)$')
  if display then
    for _, result in ipairs(call('ZRANGE', key, 0, -1)) do
      local size = call('HGET', P .. 'result:' .. display .. ':' .. result, 'size')
      if not size then say('a result without body', display) else bytes = bytes + tonumber(size) end
    end
  end
end
for count, number in pairs(pairs_of(call('HGETALL', P .. 'counts'))) do
  if counts[count] ~= tonumber(number) then say('count', count, number, counts[count] or '-') end
  counts[count] = nil
end
for count in pairs(counts) do say('not counted', count) end
for _, row in ipairs(call('ZRANGE', P .. 'expiry', 0, -1)) do
  if not expiry[row] then say('expires and does not wait', row) end
  expiry[row] = nil
end
for row in pairs(expiry) do say('waits and never expires', row) end
for hash, row in pairs(pairs_of(call('HGETALL', P .. 'dedupe'))) do
  if call('EXISTS', P .. 'event:' .. string.match(row, '^%d+')) == 0 then say('a repeat of no event', row) end
end
for display, row in pairs(pairs_of(call('HGETALL', P .. 'displays'))) do
  for _, group in ipairs(cjson.decode(row).groups) do
    if call('SISMEMBER', P .. 'members:' .. group, display) == 0 then say('not in its group', display, group) end
  end
end
if tonumber(call('HGET', KEYS[1], 'events') or '0') ~= events then say('events', events) end
if tonumber(call('HGET', KEYS[1], 'result_bytes') or '0') ~= bytes then say('result bytes', bytes) end

for _, key in ipairs(keys) do
  local name = string.sub(key, string.len(P) + 1)
  if not string.find(' meta feed calls seen nodes ', ' ' .. name .. ' ', 1, true) and not string.match(name, '^node:') then
    local kind = call('TYPE', key).ok
    local rows = {}
    if kind == 'hash' then
      for field, value in pairs(pairs_of(call('HGETALL', key))) do rows[#rows + 1] = field .. '=' .. value end
    elseif kind == 'zset' then
      for member, score in pairs(pairs_of(call('ZRANGE', key, 0, -1, 'WITHSCORES'))) do
        rows[#rows + 1] = member .. '=' .. score
      end
    elseif kind == 'set' then
      rows = call('SMEMBERS', key)
    elseif kind == 'stream' then
      for _, entry in ipairs(call('XRANGE', key, '-', '+')) do
        rows[#rows + 1] = entry[1] .. '=' .. table.concat(entry[2], ' ')
      end
    end
    table.sort(rows)
    for _, row in ipairs(rows) do all[#all + 1] = name .. ' ' .. row end
  end
end
return { wrong, all }
