-- Forgets a display. ARGV: tag, now, display. The history of its own address goes too, so a display of the same id begins
-- with a new epoch.
local display = ARGV[3]
local row = call('HGET', P .. 'displays', display)
if not row then return { 'not_enrolled', display } end
for _, waiting in ipairs(call('ZRANGE', P .. 'pending:' .. display, 0, -1)) do
  settle_own(string.match(waiting, '^%d+'), display, 'failed', WORDS.removed)
end
for _, group in ipairs(cjson.decode(row).groups) do call('SREM', P .. 'members:' .. group, display) end
call('HDEL', P .. 'displays', display)
call('HDEL', P .. 'seen', display)
local address = 'display/' .. display
local generation, last = place(address)
if last > 0 then call('HSET', P .. 'addresses', address, int(generation + 1) .. ' 0') end
call('DEL', P .. 'state:' .. address, P .. 'history:' .. address, P .. 'given:' .. display)
for _, name in ipairs(call('ZRANGE', P .. 'results:' .. display, 0, -1)) do drop_result(display, name) end
return { 'ok' }
