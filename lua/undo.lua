-- UNDOES up to `count` units that were admitted in the bucket `bucket`. Replies how many it took out of
-- it; see the head of window.lua.
--
-- Takes:  what window.lua leaves; count; bucket (a tick)
local low, high, after = start, cum, n
if bucket ~= newest then
  if first == n or bucket <= tick - SPAN then return 0 end
  -- FIND
  local m = find(call, unpack, key, s, off, M, MARK, 1, bucket, first, n)
  if m == n then return 0 end
  local two, at, its_tick = s, m * M - off, nil
  if at < 0 then two, at = call('GETRANGE', key, m * M, m * M + M + M - 1), 0 end
  its_tick, low = unpack(MARK, two, at + 1)
  if its_tick ~= bucket then return 0 end
  high, after = start, m + 1
  if after < n then
    local _, its_end = unpack(MARK, two, at + M + 1)
    high = its_end
  end
  if low < base then low = base end
  if count > high - low then count = high - low end
  if m == first then nbase = nbase - count end
  start = start - count
else
  if low < base then low = base end
  if count > high - low then count = high - low end
end
if count <= 0 then return 0 end

local later, from = {}, after
while from < n do
  local upto = from + 1000 < n and from + 1000 or n
  local chunk = call('GETRANGE', key, from * M, upto * M - 1)
  for at = 1, #chunk, M do
    local its_tick, its_start, its_dstart = unpack(MARK, chunk, at)
    later[#later + 1] = pack(MARK, its_tick, its_start - count, its_dstart)
  end
  from = upto
end
cum = cum - count
if n == 0 then
  call('SETRANGE', key, '0', pack(ONE, cum, newest, dcum, good_until, perceived))
else
  later[#later + 1] = pack(MANY, cum, newest, base, nbase, start, otick, first, n, SEAL,
    dcum, dbase, dstart, good_until, perceived)
  call('SETRANGE', key, after * M, table.concat(later))
end
return count
