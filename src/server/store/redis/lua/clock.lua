-- The clock of Redis was set: what was published in this life of Redis, and still waits or is retained, is moved along with
-- it, once. ARGV: tag, now, how often that was done as the node knew, by how many ms.
-- Answer: how often it was done. A power cut in the midst of it leaves some moved and some not, which contradicts nothing.
local done, by = tonumber(call('HGET', META, 'clock_sets') or '0'), tonumber(ARGV[4])
-- Another node was first.
if done ~= tonumber(ARGV[3]) then return { int(done) } end
call('HSET', META, 'clock_sets', int(done + 1))
local since = tonumber(call('HGET', META, 'began') or '0')
local commits = {}
local function later(expires) return int(math.max(1, tonumber(expires) + by)) end

local rows = call('ZRANGE', P .. 'expiry', 0, -1, 'WITHSCORES')
for at = 1, #rows, 2 do
  local commit = string.match(rows[at], '^%d+')
  if tonumber(commit) > since then
    commits[commit] = true
    call('ZADD', P .. 'expiry', later(rows[at + 1]), rows[at])
  end
end
for _, address in ipairs(call('HKEYS', P .. 'addresses')) do
  for _, commit in ipairs(call('HVALS', P .. 'state:' .. address)) do
    if tonumber(commit) > since then commits[commit] = true end
  end
end
for commit in pairs(commits) do
  local event = call('HMGET', P .. 'event:' .. commit, 'expires', 'stored')
  if event[1] and event[1] ~= '' then
    call('HSET', P .. 'event:' .. commit, 'expires', later(event[1]), 'stored', later(event[2]))
  end
end
return { int(done + 1) }
