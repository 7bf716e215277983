-- FORGETS a key of which units may be leased. Replies 1 if there was something to forget, else 0.
--
-- Other processes may hold leases that were granted before. When those end, what is left of them is given back
-- out of the bucket that they were granted in, and must not find units there that were admitted after the reset.
-- So the key is left empty, with a newest bucket that comes after all that it has had. Until the clock gets
-- there, units are counted in it, as if the clock had gone back: they count for at most a bucket longer.
--
-- Each reset with units to forget takes a further bucket, up to the last that a clock that goes back may leave;
-- from there on resets in one and the same bucket are not told apart. A bucket as long as the window leaves room for
-- one.
--
-- Takes:  what formats.lua and the section EACH CALL of window.lua leave
--         ARGV[1]               packed: G, SPAN and TTL, as in window.lua
local G, SPAN, TTL = unpack('<dds', ARGV[1])
local s = redis.pcall('GETRANGE', key, READ, '-1')
local len = type(s) == 'string' and #s or 0
local newest, known, _ = 0, true, nil
if len >= END then
  _, newest = unpack(MANY, s, len - END + 1)
elseif len == ONE_END then
  local cum, its_tick, dcum = unpack(ONE, s)
  -- As a reset leaves it, it is not known.
  newest, known = its_tick, cum > 0 or declined and dcum > 0
else
  return call('DEL', key)
end
local tick = now / G
tick = tick - tick % 1
if newest < tick or newest - tick >= SPAN - 1 then newest = tick end
if known and newest - tick < SPAN - 2 then newest = newest + 1 end
call('SET', key, pack(ONE, 0, newest, 0, 0, 0), 'PX',
  string.format('%d', TTL + (newest - tick) * G / 1000))
return known and 1 or 0
