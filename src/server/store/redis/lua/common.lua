-- Put before every script. KEYS[1] is {prefix}:meta; each other key has the same hash tag, so a script touches one slot.
-- WORDS is what the store's own receipts say. ARGV[1] is a random tag for what this call puts into the feed, ARGV[2] the time in ms since 1970.
local META = KEYS[1]
local P = string.sub(META, 1, -5)
local TAG, NOW = ARGV[1], tonumber(ARGV[2])
local call = redis.call
-- Entries of the feed that are kept. A node that is further behind starts anew; an entry takes some 100 bytes.
local FEED_MAX = 50000
-- A receipt up to this many bytes stands in the feed itself; a longer one is read from the ledger.
local RECEIPT_MAX = 2048
-- In each life of Redis the numbers of commits and of the feed go on so far beyond what they were: more than one call
-- uses. What a power cut left of a call has numbers that nothing else ever has.
local JUMP = 1000000
-- Lives are counted from here, beyond every offset: entries of a history are named life-offset, and before there were
-- lives they were named offset-0.
local FIRST_LIFE = 1000000000000

-- Numbers stay below 2^53; Lua would write the long ones as 1.7e+12.
local function int(number) return string.format('%.0f', number) end

-- It is cut short now and then, and not by `~`: of that Redis' file keeps how long the feed was, and what a power cut left of
-- a call would push older entries out.
local function feed(...)
  local seq = call('HINCRBY', META, 'feed', 1)
  if seq % 100 == 0 then
    call('XADD', P .. 'feed', 'MAXLEN', FEED_MAX, int(seq) .. '-0', 'tag', TAG, ...)
  else
    call('XADD', P .. 'feed', int(seq) .. '-0', 'tag', TAG, ...)
  end
end

-- A new life begins with an entry that tells the number which was the last one before it.
local function is_gap_after(seen, row)
  return row[2][3] == 'g' and tonumber(row[2][4]) <= seen
end

-- Belongs to one address; another one after its history was lost: the lineage, or the address's generation, is new.
local function epoch(lineage, generation, address)
  return string.sub(redis.sha1hex(lineage .. ' ' .. generation .. ' ' .. address), 1, 16)
end

-- Generation, last offset, and the row itself: both, and the life in which it was written.
local function place(address)
  local row = call('HGET', P .. 'addresses', address)
  if not row then return '0', 0, '' end
  local generation, last = string.match(row, '^(%d+) (%d+)')
  return generation, tonumber(last), row
end

local function offset_of(entry)
  local life, offset = string.match(entry, '^(%d+)-(%d+)$')
  if tonumber(life) < FIRST_LIFE then return tonumber(life) end
  return tonumber(offset)
end

-- A call that writes several rows says before the first of them what it is about, in place of the call before it. At the
-- end of a life attach.lua notes beside it which was the last one; where that is another, a power cut left the beginning of
-- a call, and mend.lua drops or completes it.
local is_noted = false
local function note(...)
  if is_noted then return end
  is_noted = true
  call('HSET', P .. 'calls', call('HGET', META, 'life'), cjson.encode({ TAG, ... }))
end

-- An event as the engine reads it: commit, text, queue, expiry. Nothing if it is forgotten.
local function load(commit)
  local row = call('HMGET', P .. 'event:' .. commit, 'text', 'queue', 'expires')
  if row[1] then return { commit, row[1], row[2], row[3] } end
end

-- Writes a receipt into its row of the ledger and takes the row off every queue. The order is for mend.lua: first the
-- ledger, then either the feed tells of it or it waits still.
local function settle(commit, display, receipt)
  call('HSET', P .. 'ledger:' .. commit, display, receipt)
  if string.len(receipt) <= RECEIPT_MAX then
    feed('r', commit, 'd', display, 'j', receipt)
  else
    feed('r', commit, 'd', display)
  end
  local waited = call('ZRANGEBYSCORE', P .. 'pending:' .. display, commit, commit)[1]
  if waited then
    local expires, queue = string.match(waited, '^%d+ (%d+) (.+)$')
    call('HDEL', P .. 'given:' .. display, commit)
    if expires ~= '0' then call('ZREM', P .. 'expiry', commit .. ' ' .. display) end
    call('ZREM', P .. 'pending:' .. display, waited)
    local count = display .. ' ' .. queue
    if call('HINCRBY', P .. 'counts', count, -1) <= 0 then call('HDEL', P .. 'counts', count) end
  end
end

-- Settles with a receipt of the store's own, and returns it as the engine reads it. Nothing if the event is forgotten.
local function settle_own(commit, display, status, reason)
  local row = call('HMGET', P .. 'event:' .. commit, 'id', 'source', 'stored')
  if not row[1] then return end
  local took = math.max(0, NOW - tonumber(row[3]))
  local receipt = cjson.encode({ event = row[1], source = row[2], status = status, took_ms = took, error = reason })
  settle(commit, display, receipt)
  return { commit, display, receipt }
end

local function supersede(commit, display)
  return settle_own(commit, display, 'superseded', WORDS.superseded)
end

-- Takes a result away with its share of what results take in all.
local function drop_result(display, name)
  local key = P .. 'result:' .. display .. ':' .. name
  local size = call('HGET', key, 'size')
  if size and size ~= '0' then call('HINCRBY', META, 'result_bytes', '-' .. size) end
  call('DEL', key)
  call('ZREM', P .. 'results:' .. display, name)
  call('ZREM', P .. 'all_results', display .. ' ' .. name)
end

-- The row of the display goes first: where a power cut left it out, mend.lua does the rest.
local function forget_display(display, groups)
  call('HDEL', P .. 'displays', display)
  for _, waiting in ipairs(call('ZRANGE', P .. 'pending:' .. display, 0, -1)) do
    settle_own(string.match(waiting, '^%d+'), display, 'failed', WORDS.removed)
  end
  for _, group in ipairs(groups) do call('SREM', P .. 'members:' .. group, display) end
  call('HDEL', P .. 'seen', display)
  local address = 'display/' .. display
  local generation, last = place(address)
  if last > 0 then
    call('HSET', P .. 'addresses', address, int(generation + 1) .. ' 0 ' .. call('HGET', META, 'life'))
  end
  call('DEL', P .. 'state:' .. address, P .. 'history:' .. address, P .. 'given:' .. display)
  for _, name in ipairs(call('ZRANGE', P .. 'results:' .. display, 0, -1)) do drop_result(display, name) end
end
