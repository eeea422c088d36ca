-- Takes a display's receipt. ARGV: tag, now, display, hash of source and id ('' where the receipt names no source), id,
-- the receipt, and the one it was judged to complete ('' at first).
-- Answer: 'first'; 'unknown'; 'kept' with commit and the receipt that is there, for the engine to judge; 'updated'.
local display, hash, id, receipt, expected = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local commits = {}
if hash ~= '' then
  commits[1] = string.match(call('HGET', P .. 'dedupe', hash) or '', '^%d+')
else
  for commit in string.gmatch(call('HGET', P .. 'ids', id) or '', '%d+') do table.insert(commits, 1, commit) end
end

local function take(commit)
  note('settle', { display })
  settle(commit, display, receipt)
end

-- A row that is still owed comes first.
local settled, kept
for _, commit in ipairs(commits) do
  local row = call('HGET', P .. 'ledger:' .. commit, display)
  if row == '' then
    take(commit)
    return { 'first' }
  elseif row and not settled then
    settled, kept = commit, row
  end
end
if settled then
  if expected ~= '' and expected == kept then
    take(settled)
    return { 'updated' }
  end
  return { 'kept', settled, kept }
end

-- State that was published before the display joined its group has no row yet.
local row = call('HGET', P .. 'displays', display)
if not row then return { 'unknown' } end
local reached = { all = true, ['display/' .. display] = true }
for _, group in ipairs(cjson.decode(row).groups) do reached['group/' .. group] = true end
for _, commit in ipairs(commits) do
  local event = call('HMGET', P .. 'event:' .. commit, 'place', 'queue')
  if event[1] and event[2] ~= '' and reached[event[1]] then
    take(commit)
    return { 'first' }
  end
end
return { 'unknown' }
