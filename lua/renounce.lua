-- A wait that was given up is a decline.
local count = 0
declined = ARGV[1] + 0
