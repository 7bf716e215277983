-- What a call of Absolute asks for.
local count, capacity = ARGV[1] + 0, ARGV[2] + 0
