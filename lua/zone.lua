-- What a call of Suppressed asks for; whether it is between the limits, where the demand matters, and
-- that has to be perceived anew. (What is good for longer than REFRESH is of a clock that was set
-- back.)
local count, soft, hard = ARGV[1] + 0, ARGV[2] + 0, ARGV[3] + 0
local rate, draw = ARGV[4] + 0, ARGV[5] + 0
local total = cum - base + count
local stale = soft < total and total <= hard
  and (now >= good_until or now + REFRESH < good_until)
