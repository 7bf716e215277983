-- The factor of the formula, whatever is asked for.
local rate = ARGV[1] + 0
return pack('<d', perceived > rate and 1 - rate / perceived or 0)
