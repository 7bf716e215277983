-- GRANTS units: to calls that wait for a decision, one after the other, each as if it had come alone;
-- and if none of them was refused, units for a lease.
--
-- FAIRNESS. A lease is at most an eighth of what is left when the calls have got theirs. So near the limit
-- there is no lease, calls get exactly what they ask for, and the last units go to those who ask
-- first. An eighth leaves enough for other processes that ask next, even if this one asks for all it
-- can; and to spend all but the last units takes it few asks.
--
-- Takes:  what window.lua leaves before its section EACH KEY
--         ARGV[1]               packed: capacity, units wished for a lease; then the count of each call
-- Replies with a string: the tick, the usage after it all, the units of the lease; then of each call 0, and
--         the usage after it; or 1, and a rejection as in judge.lua; or 2, and one that says never.
local capacity, wish, position = unpack('<I7I7', ARGV[1])
local size, lease, used, in_tick, refused = #ARGV[1], 0, 0, 0, false
local replies = { nil, nil, nil, nil }
repeat
  local count = 0
  local is_call = position <= size
  if is_call then count, position = unpack('<I7', ARGV[1], position) end
  -- HERE: EACH KEY
  -- HERE: JUDGE
  if is_call and rejection then
    refused = true
    replies[#replies + 1] = (#rejection == 7 and '\2' or '\1') .. rejection
    count = 0
  else
    if is_call then replies[#replies + 1] = pack('<BI7', 0, usage + count) end
    if not refused and position > size then
      lease = (capacity - usage - count) / 8
      lease = lease - lease % 1
      if lease > wish then lease = wish end
      if lease < 0 then lease = 0 end
      count = count + lease
    end
  end
  if count > 0 then
    -- HERE: ADD
    -- HERE: WRITE
  end
  used, in_tick = cum - base, tick
until position > size
return pack('<I6I7I7', in_tick, used, lease) .. table.concat(replies)
