-- NEEDS OF THE SCRIPTS, looked at once a connection, with its login.
--
-- Returns the names of what is missing, separated by commas: nothing where all is there.
local missing = {}

-- Numbers of 7 bytes, exact as far as the scripts count.
local packs, number = pcall(function()
  return struct.unpack('<I7', struct.pack('<I7', 9007199254740991))
end)
if not packs or number ~= 9007199254740991 then missing[#missing + 1] = 'struct' end

-- Seconds and microseconds of a clock that is set.
local time = redis.pcall('TIME')
local ticks = type(time) == 'table' and tonumber(time[1]) and tonumber(time[2])
if not ticks or tonumber(time[1]) <= 0 then missing[#missing + 1] = 'TIME' end

-- A script that has asked for the time may write: its effects are replicated, not its text. Only then
-- may a script choose which effects.
if redis.set_repl and not pcall(redis.set_repl, redis.REPL_ALL) then
  missing[#missing + 1] = 'effects'
end
return table.concat(missing, ',')
