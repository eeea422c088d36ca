-- Keeps a result. ARGV: tag, now, display, event, name (a hash of the event), media type, body, most of one display, most
-- bytes of all. Answer: 'ok', or 'unknown' where the display was never given the event.
local display, event, name, media, body = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local most, most_bytes = tonumber(ARGV[8]), tonumber(ARGV[9])
local known = false
for commit in string.gmatch(call('HGET', P .. 'ids', event) or '', '%d+') do
  known = known or call('HEXISTS', P .. 'ledger:' .. commit, display) == 1
end
if not known then return { 'unknown' } end

note('result', display, name)
drop_result(display, name)
local size = string.len(body)
call('HSET', P .. 'result:' .. display .. ':' .. name, 'event', event, 'media', media, 'taken', int(NOW), 'size', size,
  'body', body)
call('ZADD', P .. 'results:' .. display, int(NOW), name)
call('ZADD', P .. 'all_results', int(NOW), display .. ' ' .. name)
local total = call('HINCRBY', META, 'result_bytes', size)
while call('ZCARD', P .. 'results:' .. display) > most do
  drop_result(display, call('ZRANGE', P .. 'results:' .. display, 0, 0)[1])
end
while total > most_bytes do
  local oldest = call('ZRANGE', P .. 'all_results', 0, 0)[1]
  if not oldest then break end
  drop_result(string.match(oldest, '^(%S+) (%S+)$'))
  total = tonumber(call('HGET', META, 'result_bytes'))
end
return { 'ok' }
