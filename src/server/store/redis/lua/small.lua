-- The small things, one at a time. ARGV: tag, now, what, then what that takes.
local what, a, b, c, d = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]

-- Tells every node.
if what == 'announce' then
  feed('c', a)
  return { 'ok' }
end

-- What is over, of things that are good once; and what ends later than any of them lives, with a little more: it is of a clock
-- that was set back since, counts no more, and would fill the place of others until that clock's time comes.
local function forget_ended(kind)
  call('ZREMRANGEBYSCORE', P .. kind, '-inf', int(NOW))
  call('ZREMRANGEBYSCORE', P .. kind, '(' .. int(NOW + 660000), '+inf')
end

-- A ticket: key, value, end, most. Taken ones count until their end: their number is what is bounded.
if what == 'ticket' then
  forget_ended('tickets')
  if call('ZCARD', P .. 'tickets') >= tonumber(d) then return { 'full' } end
  call('ZADD', P .. 'tickets', c, a)
  call('SET', P .. 'ticket:' .. a, b, 'PX', int(math.max(1, tonumber(c) - NOW)))
  return { 'ok' }
end

-- A text that is used once: text, end, most.
if what == 'once' then
  forget_ended('used')
  if call('ZSCORE', P .. 'used', a) then return { 'used' } end
  if call('ZCARD', P .. 'used') >= tonumber(c) then return { 'full' } end
  call('ZADD', P .. 'used', b, a)
  return { 'ok' }
end

-- Takes a ticket.
if what == 'take' then
  local value = call('GETDEL', P .. 'ticket:' .. a)
  if not value then return { 'none' } end
  return { 'ok', value }
end

-- A record: collection, key, value, most. Their names are kept in order beside them; a power cut may leave a name alone.
if what == 'put' then
  local rows = P .. 'records:' .. a
  if call('HEXISTS', rows, b) == 0 and call('HLEN', rows) >= tonumber(d) then return { 'full' } end
  call('ZADD', P .. 'names:' .. a, 0, b)
  call('HSET', rows, b, c)
  return { 'ok' }
end
if what == 'drop' then
  local there = call('HDEL', P .. 'records:' .. a, b) == 1
  call('ZREM', P .. 'names:' .. a, b)
  return { there and 'ok' or 'none' }
end
if what == 'records' then
  local answer = { 'ok' }
  for _, name in ipairs(call('ZRANGEBYLEX', P .. 'names:' .. a, '(' .. b, '+', 'LIMIT', 0, c)) do
    local record = call('HGET', P .. 'records:' .. a, name)
    if record then answer[#answer + 1] = { name, record } end
  end
  return answer
end

-- When displays were last heard of: display and row of each. One that was removed is not brought back.
if what == 'seen' then
  for at = 4, #ARGV, 2 do
    if call('HEXISTS', P .. 'displays', ARGV[at]) == 1 then call('HSET', P .. 'seen', ARGV[at], ARGV[at + 1]) end
  end
  return { 'ok' }
end

-- What sockets a node holds: node, text, life in ms. The value goes with the lease; the names are only where to look.
if what == 'present' then
  call('SET', P .. 'node:' .. a, b, 'PX', c)
  call('ZADD', P .. 'nodes', int(NOW), a)
  call('ZREMRANGEBYSCORE', P .. 'nodes', '-inf', int(NOW - 3600000))
  return { 'ok' }
end
if what == 'elsewhere' then
  local answer = { 'ok' }
  for _, node in ipairs(call('ZRANGE', P .. 'nodes', 0, -1)) do
    local text = node ~= a and call('GET', P .. 'node:' .. node)
    if text then answer[#answer + 1] = text end
  end
  return answer
end
if what == 'absent' then
  call('DEL', P .. 'node:' .. a)
  call('ZREM', P .. 'nodes', a)
  return { 'ok' }
end
return { 'what' }
