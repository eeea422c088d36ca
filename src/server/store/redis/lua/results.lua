-- The newest result of a display that fits. ARGV: tag, now, display, event ('' for any), start of the media type.
local display, event, media = ARGV[3], ARGV[4], ARGV[5]
for _, name in ipairs(call('ZREVRANGE', P .. 'results:' .. display, 0, -1)) do
  local key = P .. 'result:' .. display .. ':' .. name
  local row = call('HMGET', key, 'event', 'media', 'taken')
  if row[1] and (event == '' or row[1] == event) and string.sub(row[2], 1, string.len(media)) == media then
    return { 'ok', row[1], row[2], row[3], call('HGET', key, 'body') }
  end
end
return { 'none' }
