-- Makes the store where there is none, and finds out whether what this Redis holds is what it held before.
-- ARGV: tag, now, a new lineage, a new secret, '1' if what this Redis accepts survives its own end, the lineage that the
-- node knew ('' at its start), the last entry of the feed that it saw, and that entry's tag.
-- Answer: what happened, lineage, secret, last of the feed, its tag, and 1 where a new life of Redis began.
-- 'kept'; 'lost': every epoch is new from now on; 'behind': another node saw to that, or the feed went on for long without this node.
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
if schema and tonumber(schema) > 2 then return { 'newer', schema } end
if not schema then
  call('HSET', META, 'schema', 2, 'lineage', new, 'secret', secret, 'checked', which, 'feed', 0, 'commit', 0, 'life',
    int(FIRST_LIFE))
elseif tonumber(schema) == 1 then
  call('HSET', META, 'schema', 2, 'life', int(FIRST_LIFE))
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
  elseif seen > 0 and not there then
    outcome = 'behind'
  elseif seen < last then
    local next_one = call('XRANGE', P .. 'feed', int(seen + 1) .. '-0', '+', 'COUNT', 1)[1]
    if not next_one or next_one[1] ~= int(seen + 1) .. '-0' and not is_gap_after(seen, next_one) then
      outcome = 'behind'
    end
  end
  -- A foreign lineage: another node saw to it, if it was since this Redis is what it is; else the data is an old copy.
  if known ~= lineage then outcome = checked == which and 'behind' or 'lost' end
end
local fresh = checked ~= which
if fresh then
  if not safe then outcome = 'lost' end
  -- A power cut may have left the beginning of a call in the file, which this Redis did not carry out and the next one
  -- will, right before what is written here. So what is written here ends an open MULTI (it is several commands, and the first
  -- that are written at all), gives every number anew, whatever that beginning did to it, and goes on far beyond.
  local kept = call('HMGET', META, 'commit', 'events', 'result_bytes', 'life')
  local function top_of(stream)
    local newest = call('XREVRANGE', P .. stream, '+', '-', 'COUNT', 1)[1]
    return newest and tonumber(string.match(newest[1], '^%d+')) or 0
  end
  local life = kept[4]
  local newest = call('HGET', P .. 'calls', life)
  call('HSET', P .. 'calls', life .. ' last', newest and cjson.decode(newest)[1] or '')
  local gap = math.max(last, top_of('feed')) + JUMP
  local commit = int(math.max(tonumber(kept[1]), top_of('ages')) + JUMP)
  call('HSET', META, 'checked', which, 'lineage', lineage, 'secret', call('HGET', META, 'secret'), 'feed', int(gap),
    'commit', commit, 'began', commit, 'events', kept[2] or 0, 'result_bytes',
    kept[3] or 0, 'life', int(tonumber(life) + 1))
  call('XADD', P .. 'feed', int(gap) .. '-0', 'tag', TAG, 'g', int(last))
end
if outcome == 'lost' then
  lineage = new
  call('HSET', META, 'lineage', new)
  feed('l', '1')
end

local newest = call('XREVRANGE', P .. 'feed', '+', '-', 'COUNT', 1)[1]
return { outcome, lineage, call('HGET', META, 'secret'), call('HGET', META, 'feed'), newest and newest[2][2] or '',
  fresh and 1 or 0 }
