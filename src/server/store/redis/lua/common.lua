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

-- Numbers stay below 2^53; Lua would write the long ones as 1.7e+12.
local function int(number) return string.format('%.0f', number) end

local function feed(...)
  local seq = int(call('HINCRBY', META, 'feed', 1))
  call('XADD', P .. 'feed', 'MAXLEN', '~', FEED_MAX, seq .. '-0', 'tag', TAG, ...)
end

-- Belongs to one address; another one after its history was lost: the lineage, or the address's generation, is new.
local function epoch(lineage, generation, address)
  return string.sub(redis.sha1hex(lineage .. ' ' .. generation .. ' ' .. address), 1, 16)
end

local function place(address)
  local row = call('HGET', P .. 'addresses', address)
  if not row then return '0', 0 end
  local generation, last = string.match(row, '^(%d+) (%d+)$')
  return generation, tonumber(last)
end

-- An event as the engine reads it: commit, text, queue, expiry. Nothing if it is forgotten.
local function load(commit)
  local row = call('HMGET', P .. 'event:' .. commit, 'text', 'queue', 'expires')
  if row[1] then return { commit, row[1], row[2], row[3] } end
end

-- Writes a receipt into its row of the ledger and takes the row off every queue.
local function settle(commit, display, receipt)
  call('HSET', P .. 'ledger:' .. commit, display, receipt)
  local waited = call('ZRANGEBYSCORE', P .. 'pending:' .. display, commit, commit)[1]
  if waited then
    local expires, queue = string.match(waited, '^%d+ (%d+) (.+)$')
    call('ZREM', P .. 'pending:' .. display, waited)
    call('HDEL', P .. 'given:' .. display, commit)
    if expires ~= '0' then call('ZREM', P .. 'expiry', commit .. ' ' .. display) end
    local count = display .. ' ' .. queue
    if call('HINCRBY', P .. 'counts', count, -1) <= 0 then call('HDEL', P .. 'counts', count) end
  end
  if string.len(receipt) <= RECEIPT_MAX then
    feed('r', commit, 'd', display, 'j', receipt)
  else
    feed('r', commit, 'd', display)
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
