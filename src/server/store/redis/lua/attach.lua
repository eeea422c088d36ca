-- Makes the store where there is none, and finds out whether what this Redis holds is what it held before.
-- ARGV: tag, now, a new lineage, a new secret, '1' if what this Redis accepts survives its own end, the lineage that the
-- node knew ('' at its start), the last entry of the feed that it saw, and that entry's tag.
-- Answer: what happened, lineage, secret, last of the feed, its tag. 'kept'; 'lost': every epoch is new from now on;
-- 'behind': another node saw to that, or the feed went on for long without this node.
local new, secret, safe = ARGV[3], ARGV[4], ARGV[5] == '1'
local known, seen, seen_tag = ARGV[6], tonumber(ARGV[7]), ARGV[8]

-- Which process and which history of replication this is: one of them is new after a restart and after a failover.
local info = redis.pcall('INFO', 'server')
if type(info) ~= 'string' then return { 'no_info' } end
local replication = call('INFO', 'replication')
local which = string.match(info, 'run_id:(%x+)') .. ' ' .. string.match(replication, 'master_replid:(%x+)')
-- A replica that was promoted may lack what its master had accepted, whatever that one wrote to its disk.
local promoted = string.match(replication, 'master_replid2:(%x+)')
if promoted and not string.match(promoted, '^0+$') then safe = false end

local schema = call('HGET', META, 'schema')
if schema and tonumber(schema) > 1 then return { 'newer', schema } end
if not schema then
  call('HSET', META, 'schema', 1, 'lineage', new, 'secret', secret, 'checked', which, 'feed', 0, 'commit', 0)
end
local lineage, checked = call('HGET', META, 'lineage'), call('HGET', META, 'checked')
local last = tonumber(call('HGET', META, 'feed'))

local outcome = 'kept'
if known ~= '' then
  -- What the node saw must still be there, unless the feed was cut shorter than that in the course of things.
  local function entry(number) return call('XRANGE', P .. 'feed', int(number) .. '-0', int(number) .. '-0')[1] end
  local there = entry(seen)
  if there and there[2][2] ~= seen_tag or seen > last then
    outcome = 'lost'
  elseif seen > 0 and not there or seen < last and not entry(seen + 1) then
    outcome = 'behind'
  end
  -- A foreign lineage: another node saw to it, if it was since this Redis is what it is; else the data is an old copy.
  if known ~= lineage then outcome = checked == which and 'behind' or 'lost' end
end
if checked ~= which then
  if not safe then outcome = 'lost' end
  call('HSET', META, 'checked', which)
end
if outcome == 'lost' then
  lineage = new
  call('HSET', META, 'lineage', new)
  feed('l', '1')
end

local newest = call('XREVRANGE', P .. 'feed', '+', '-', 'COUNT', 1)[1]
return { outcome, lineage, call('HGET', META, 'secret'), call('HGET', META, 'feed'), newest and newest[2][2] or '' }
