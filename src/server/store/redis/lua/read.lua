-- Reads of one snapshot. ARGV: tag, now, what, then what that takes.
local what = ARGV[3]
local lineage = call('HGET', META, 'lineage')
if not lineage then return { 'no_store' } end
local as_of = call('HGET', META, 'commit')

-- epoch, last, first of an address's history.
local function head(address)
  local generation, last = place(address)
  local kept = call('XLEN', P .. 'history:' .. address)
  return { epoch(lineage, generation, address), int(last), int(last - kept + 1) }
end

-- The first entries of a history after an offset, at most so many. Those of this life are found by their names; where
-- older ones are asked for, they are counted from the end: offsets have no gap.
local function entries(address, after, most)
  local key = P .. 'history:' .. address
  local _, last = place(address)
  if after >= last then return {} end
  local rows = call('XRANGE', key, '(' .. call('HGET', META, 'life') .. '-' .. int(after), '+', 'COUNT', most)
  if rows[1] and offset_of(rows[1][1]) == after + 1 then return rows end
  local back = call('XREVRANGE', key, '+', '-', 'COUNT', int(last - after))
  rows = {}
  for index = #back, math.max(1, #back - most + 1), -1 do rows[#rows + 1] = back[index] end
  return rows
end

if what == 'heads' then
  local answer = { 'ok' }
  for at = 4, #ARGV do answer[#answer + 1] = head(ARGV[at]) end
  return answer
end

if what == 'history' then
  local address, after, limit = ARGV[4], ARGV[5], tonumber(ARGV[6])
  local events, bytes, more = {}, 0, 0
  local rows = entries(address, tonumber(after), limit + 1)
  for index, row in ipairs(rows) do
    -- About a mebibyte is enough for one answer.
    if index > limit or bytes >= 1048576 then
      more = 1
      break
    end
    local event = load(row[2][2])
    if event then
      bytes = bytes + string.len(event[2])
      events[#events + 1] = event
    end
  end
  return { 'ok', head(address), as_of, more, events }
end

-- One event with its ledger: by the hash of source and id, or the newest of an id.
local commit
if ARGV[4] ~= '' then
  commit = string.match(call('HGET', P .. 'dedupe', ARGV[4]) or '', '^%d+')
else
  commit = string.match(call('HGET', P .. 'ids', ARGV[5]) or '', '%d+$')
end
local event = commit and load(commit)
if not event then return { 'none' } end
return { 'ok', event, call('HGETALL', P .. 'ledger:' .. commit) }
