-- Forgets a display. ARGV: tag, now, display. The history of its own address goes too, so a display of the same id begins
-- with a new epoch.
local display = ARGV[3]
local row = call('HGET', P .. 'displays', display)
if not row then return { 'not_enrolled', display } end
local groups = cjson.decode(row).groups
note('remove', display, groups)
forget_display(display, groups)
return { 'ok' }
