-- Ends what the engine found to be overdue. ARGV: tag, now, then commit and display of each.
-- Answer: the receipts that were written. What was settled meanwhile, also by another node, is left alone.
local settled, displays = {}, {}
for at = 4, #ARGV, 2 do displays[#displays + 1] = ARGV[at] end
for at = 3, #ARGV, 2 do
  local commit, display = ARGV[at], ARGV[at + 1]
  if call('HGET', P .. 'ledger:' .. commit, display) == '' then
    note('settle', displays)
    settled[#settled + 1] = settle_own(commit, display, 'expired', WORDS.expired)
  else
    call('ZREM', P .. 'expiry', commit .. ' ' .. display)
  end
end
return settled
