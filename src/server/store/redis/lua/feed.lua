-- What came into the feed after the last entry that the node saw. ARGV: tag, now, lineage, seen, its tag, most entries.
-- Answer: 'ok', last seen, its tag, entries: {'e', event with targets}, {'r', commit, display, receipt}, {'c', control},
-- {'l'}, {'g'}; 'torn' where what the node saw is not there: it attaches again; 'gone' and the end of the feed, where what comes
-- next is forgotten.
local lineage, seen, seen_tag, most = ARGV[3], tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])
if call('HGET', META, 'lineage') ~= lineage then return { 'torn' } end
local function gone()
  local newest = call('XREVRANGE', P .. 'feed', '+', '-', 'COUNT', 1)[1]
  return { 'gone', call('HGET', META, 'feed'), newest and newest[2][2] or '' }
end

local rows = call('XRANGE', P .. 'feed', int(seen) .. '-0', '+', 'COUNT', most + 1)
local first = 1
if seen > 0 then
  if not rows[1] or rows[1][1] ~= int(seen) .. '-0' or rows[1][2][2] ~= seen_tag then return { 'torn' } end
  first = 2
end
local found, bytes = {}, 0
for index = first, #rows do
  local row = rows[index]
  local fields = row[2]
  -- No entry is left out: the numbers have no gap but where a new life of Redis says so.
  if row[1] ~= int(seen + 1) .. '-0' and not is_gap_after(seen, row) then return gone() end
  local kind, commit = fields[3], fields[4]
  if kind == 'e' then
    local event = load(commit)
    if not event then return gone() end
    -- Too many to stand in the feed: those who still owe a receipt.
    if fields[6] == '*' then
      local owing = {}
      local ledger = call('HGETALL', P .. 'ledger:' .. commit)
      for at = 1, #ledger, 2 do
        if ledger[at + 1] == '' then owing[#owing + 1] = ledger[at] end
      end
      event[5] = table.concat(owing, ' ')
    else
      event[5] = fields[6]
    end
    bytes = bytes + string.len(event[2])
    found[#found + 1] = { 'e', event }
  elseif kind == 'r' then
    local receipt = fields[8] or call('HGET', P .. 'ledger:' .. commit, fields[6])
    -- Forgotten since: whoever waited for it reads the ledger.
    if receipt then found[#found + 1] = { 'r', commit, fields[6], receipt } end
  elseif kind == 'c' then
    found[#found + 1] = { 'c', commit }
  else
    found[#found + 1] = { kind }
  end
  seen, seen_tag = tonumber(string.match(row[1], '^%d+')), fields[2]
  -- What one answer carries at most.
  if bytes > 1048576 then break end
end
return { 'ok', int(seen), seen_tag, found }
