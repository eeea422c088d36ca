-- Mends what a power cut left of a call: a beginning of it that nobody was answered, carried out when Redis read its file
-- again. What that beginning is about stands in `calls`; see mod.rs. Called again until it answers 'whole', before any other
-- script may run. ARGV: tag, now, a new lineage, then the name of every queue.
-- Answer: 'whole'; 'more', where one call did not suffice; what was mended, and a word on it; or 'damaged' and why it could
-- not be: then every epoch is new from now on.
local displays_max, rows_max = 64, 1000
-- The life before this one is not looked at: what was cut at its end is not carried out before the next.
local life, said
local present = tonumber(call('HGET', META, 'life'))
local names = call('HKEYS', P .. 'calls')
table.sort(names)
for _, name in ipairs(names) do
  local its_life = string.match(name, '^%d+')
  if tonumber(its_life) < present - 1 then
    local newest, last = unpack(call('HMGET', P .. 'calls', its_life, its_life .. ' last'))
    local is_text, its = pcall(cjson.decode, newest or '[]')
    if newest and (not is_text or its[1] ~= last) then
      life, said = its_life, is_text and its or {}
      break
    end
    call('HDEL', P .. 'calls', its_life, its_life .. ' last')
  end
end
if not said then return { 'whole' } end
local tag = table.remove(said, 1)
local kind = said[1]

local function mended(...)
  call('HDEL', P .. 'calls', life, life .. ' last')
  return { kind, ... }
end

-- What waits for a display is what the ledger says it owes; or what waits is owed, whatever the ledger says.
local function tidy(display, is_owed)
  local counts = {}
  for _, waiting in ipairs(call('ZRANGE', P .. 'pending:' .. display, 0, -1)) do
    local commit, _, queue = string.match(waiting, '^(%d+) (%d+) (.+)$')
    local receipt = call('HGET', P .. 'ledger:' .. commit, display)
    if is_owed and receipt and receipt ~= '' then
      receipt = ''
      call('HSET', P .. 'ledger:' .. commit, display, receipt)
    end
    if receipt == '' then
      counts[queue] = (counts[queue] or 0) + 1
    else
      call('ZREM', P .. 'pending:' .. display, waiting)
      call('HDEL', P .. 'given:' .. display, commit)
      call('ZREM', P .. 'expiry', commit .. ' ' .. display)
      if receipt then feed('r', commit, 'd', display) end
    end
  end
  for at = 4, #ARGV do
    local count = display .. ' ' .. ARGV[at]
    if counts[ARGV[at]] then
      call('HSET', P .. 'counts', count, counts[ARGV[at]])
    else
      call('HDEL', P .. 'counts', count)
    end
  end
end

-- A display is in the groups that its row names, of those that were to change.
local function regroup(display, groups)
  local row, is_in = call('HGET', P .. 'displays', display), {}
  for _, group in ipairs(row and cjson.decode(row).groups or {}) do
    is_in[group] = true
    call('SADD', P .. 'members:' .. group, display)
  end
  for _, group in ipairs(groups) do
    if not is_in[group] then call('SREM', P .. 'members:' .. group, display) end
  end
end

-- Adds up what results take.
local function weigh()
  local bytes = 0
  for _, result in ipairs(call('ZRANGE', P .. 'all_results', 0, -1)) do
    local display, name = string.match(result, '^(%S+) (%S+)$')
    bytes = bytes + tonumber(call('HGET', P .. 'result:' .. display .. ':' .. name, 'size') or '0')
  end
  call('HSET', META, 'result_bytes', int(bytes))
end

local function work()
  -- Nobody was told where these events stand, and their publisher asks again: they are taken out wherever they got to.
  if kind == 'publish' then
    local first, count, fed, before, states = tonumber(said[2]), said[3], tonumber(said[4]), said[5], said[6]
    local last = first + count - 1
    -- What they told every node; and older ones that made room for them wait as they did, if nobody else answered them since.
    local told = call('XRANGE', P .. 'feed', int(fed + 1) .. '-0', int(fed + JUMP - 1) .. '-0', 'COUNT', rows_max)
    for _, row in ipairs(told) do
      local commit, display, receipt = row[2][4], row[2][6], row[2][8]
      if row[2][3] == 'r' and tonumber(commit) < first and call('HGET', P .. 'ledger:' .. commit, display) == receipt then
        local event = call('HMGET', P .. 'event:' .. commit, 'queue', 'expires')
        if event[1] then
          local expires = event[2] ~= '' and event[2] or '0'
          call('HSET', P .. 'ledger:' .. commit, display, '')
          call('ZADD', P .. 'pending:' .. display, commit, commit .. ' ' .. expires .. ' ' .. event[1])
          if expires ~= '0' then call('ZADD', P .. 'expiry', expires, commit .. ' ' .. display) end
        end
      end
      call('XDEL', P .. 'feed', row[1])
    end
    if #told == rows_max then return { 'more' } end
    -- The displays that they waited for.
    local looked_at = 0
    for commit = first, last do
      for _, display in ipairs(call('HKEYS', P .. 'ledger:' .. int(commit))) do
        if looked_at == displays_max then return { 'more' } end
        looked_at = looked_at + 1
        for _, waiting in ipairs(call('ZRANGEBYSCORE', P .. 'pending:' .. display, int(first), int(last))) do
          call('ZREM', P .. 'pending:' .. display, waiting)
          local number = string.match(waiting, '^%d+')
          call('ZREM', P .. 'expiry', number .. ' ' .. display)
          call('HDEL', P .. 'given:' .. display, number)
        end
        tidy(display, true)
        for number = first, last do call('HDEL', P .. 'ledger:' .. int(number), display) end
      end
    end
    local dropped = 0
    for commit = first, last do
      local number = int(commit)
      local event = call('HMGET', P .. 'event:' .. number, 'place', 'entry', 'id')
      if event[1] then
        dropped = dropped + 1
        call('XDEL', P .. 'history:' .. event[1], event[2])
        local rest = {}
        for one in string.gmatch(call('HGET', P .. 'ids', event[3]) or '', '%d+') do
          if one ~= number then rest[#rest + 1] = one end
        end
        if #rest == 0 then
          call('HDEL', P .. 'ids', event[3])
        else
          call('HSET', P .. 'ids', event[3], table.concat(rest, ' '))
        end
      end
      local age = call('XRANGE', P .. 'ages', number .. '-0', number .. '-0')[1]
      if age then
        local hash = age[2][4]
        if string.match(call('HGET', P .. 'dedupe', hash) or '', '^%d+') == number then
          call('HDEL', P .. 'dedupe', hash)
        end
        call('XDEL', P .. 'ages', age[1])
      end
      call('DEL', P .. 'event:' .. number)
    end
    for at = 1, #states, 3 do
      local key, slot, old = P .. 'state:' .. states[at], states[at + 1], states[at + 2]
      local now = tonumber(call('HGET', key, slot) or '0')
      if now >= first and now <= last then
        if old == '' then call('HDEL', key, slot) else call('HSET', key, slot, old) end
      end
    end
    -- Rows of a later life were written by events that were accepted.
    for at = 1, #before, 2 do
      local address, old = before[at], before[at + 1]
      local _, _, row = place(address)
      if row ~= old and string.match(row, ' (%d+)$') == life then
        if old == '' then call('HDEL', P .. 'addresses', address) else call('HSET', P .. 'addresses', address, old) end
      end
    end
    return mended(dropped)
  end

  -- A receipt that stands in the ledger is taken from every queue.
  if kind == 'settle' then
    local displays = said[2]
    for index = 1, math.min(#displays, displays_max) do tidy(displays[index]) end
    if #displays <= displays_max then return mended() end
    call('HSET', P .. 'calls', life, cjson.encode({ tag, kind, { unpack(displays, displays_max + 1) } }))
    return { 'more' }
  end

  -- A display whose row is gone goes whole; one that was enrolled again since stays.
  if kind == 'remove' then
    local display, groups = said[2], said[3]
    if call('HEXISTS', P .. 'displays', display) == 0 then forget_display(display, groups) end
    regroup(display, groups)
    tidy(display)
    weigh()
    return mended(display)
  end

  -- Of several rows that change together the first one tells whether the others follow.
  if kind == 'swap' then
    local words, groups = said[2], {}
    local count = tonumber(words[1])
    local function field(index)
      local at = 2 + 4 * index
      local key = P .. words[at]
      return key, words[at + 1], words[at + 2], words[at + 3], call('HGET', key, words[at + 1]) or ''
    end
    local _, _, _, first_new, first_now = field(0)
    for index = 1, count - 1 do
      local key, name, old, new, now = field(index)
      if first_now == first_new and now == old then
        if new == '' then call('HDEL', key, name) else call('HSET', key, name, new) end
      end
    end
    for at = 2 + 4 * count, #words, 3 do
      local group = string.match(words[at + 1], '^members:(.+)$')
      if group then
        groups[words[at + 2]] = groups[words[at + 2]] or {}
        table.insert(groups[words[at + 2]], group)
      end
    end
    for display, of_display in pairs(groups) do regroup(display, of_display) end
    return mended(words[3])
  end

  -- A result whose body is there is one; its names are put beside it.
  if kind ~= 'result' and kind ~= 'bytes' then error('unknown: ' .. tostring(kind)) end
  if kind == 'result' then
    local display, name = said[2], said[3]
    local taken = call('HGET', P .. 'result:' .. display .. ':' .. name, 'taken')
    if taken then
      call('ZADD', P .. 'results:' .. display, taken, name)
      call('ZADD', P .. 'all_results', taken, display .. ' ' .. name)
    else
      call('ZREM', P .. 'results:' .. display, name)
      call('ZREM', P .. 'all_results', display .. ' ' .. name)
    end
  end
  weigh()
  return mended()
end

local is_done, answer = pcall(work)
if is_done then return answer end
call('HSET', META, 'lineage', ARGV[3])
feed('l', '1')
call('HDEL', P .. 'calls', life, life .. ' last')
return { 'damaged', type(answer) == 'table' and answer.err or tostring(answer) }
