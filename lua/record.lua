-- What is to be counted whatever the limit.
local count = ARGV[1] + 0
