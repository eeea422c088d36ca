-- Changes fields of hashes if all of them still are as they were read, else nothing. ARGV: tag, now, number of fields, of
-- each: hash, field, old value, new value ('' means absent: removed); then set and member to add or remove:
-- '+' or '-', set, member; and '<', hash, limit: refused with 'full' where the hash holds that many already.
local count = tonumber(ARGV[3])
local after = 4 + 4 * count
for index = 0, count - 1 do
  local at = 4 + 4 * index
  if (call('HGET', P .. ARGV[at], ARGV[at + 1]) or '') ~= ARGV[at + 2] then return { 'changed' } end
end
for at = after, #ARGV, 3 do
  if ARGV[at] == '<' and call('HLEN', P .. ARGV[at + 1]) >= tonumber(ARGV[at + 2]) then return { 'full' } end
end
-- One row alone is written whole or not at all.
if count > 1 or #ARGV >= after then note('swap', { unpack(ARGV, 3) }) end
for index = 0, count - 1 do
  local at = 4 + 4 * index
  if ARGV[at + 3] == '' then
    call('HDEL', P .. ARGV[at], ARGV[at + 1])
  else
    call('HSET', P .. ARGV[at], ARGV[at + 1], ARGV[at + 3])
  end
end
for at = after, #ARGV, 3 do
  if ARGV[at] == '+' then call('SADD', P .. ARGV[at + 1], ARGV[at + 2]) end
  if ARGV[at] == '-' then call('SREM', P .. ARGV[at + 1], ARGV[at + 2]) end
end
return { 'ok' }
