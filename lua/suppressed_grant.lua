-- GRANTS units under Suppressed, as grant.lua does under Absolute: to calls that wait for a decision, each
-- by a draw of its own, then to a lease.
--
-- A lease lies on one side of the soft limit. Below it, at most an eighth of what is left to there, to
-- be spent freely. Above it, at most an eighth of what is left to the hard limit, to be spent by calls
-- that draw as these did, by the factor in the reply. The side is that of the units that count after the
-- calls, whatever a declined one would have come to. A call that is refused for want of room under the
-- hard limit ends hopes for a lease; one that is declined by its draw does not.
--
-- The declines that are told happened before, so they are counted first, and the demand is perceived
-- with them.
--
-- Takes:  what window.lua leaves before its section EACH KEY; RECENT, RECENT_S, WINDOW_S, REFRESH
--         ARGV[1]               packed: soft, hard, rate, units wished for a lease, units declined
--                               since the last ask; then the count and the draw of each call
-- Replies with a string: the tick, the usage after it all, the units of the lease, 1 if they lie above the
--         soft limit, and the factor to spend them by; then of each call 0, and the usage after it; or 3 if it
--         was admitted above the soft limit, 4 if it was declined, and the usage and the factor.
local soft, hard, rate, wish, told, position = unpack('<I7I7dI7I7', ARGV[1])
local size, lease, above, share, used, in_tick = #ARGV[1], 0, 0, 0, 0, 0
local refused, is_last = false, false
local replies = { nil, nil, nil, nil }
repeat
  local count, draw, afresh = 0, 0, false
  local is_call = told == 0 and position <= size
  if is_call then count, draw, position = unpack('<I7d', ARGV[1], position) end
  is_last = told == 0 and position > size
  -- HERE: EACH KEY
  declined = told
  if told > 0 then
    told = 0
  else
    -- HERE: SUPPRESSED_DECIDE
    if is_call then
      if total > hard then refused = true end
      if not admitted then count, declined = 0, count end
      if factor then
        replies[#replies + 1] = pack('<BI7d', admitted and 3 or 4, cum - base + count, factor)
      else
        replies[#replies + 1] = pack('<BI7', 0, total)
      end
    end
    if is_last and not refused then
      local after = cum - base + count
      if factor and after >= soft then above, share = 1, factor end
      lease = ((above > 0 and hard or soft) - after) / 8
      lease = lease - lease % 1
      if lease > wish then lease = wish end
      if lease < 0 then lease = 0 end
      count = count + lease
    end
  end
  if count > 0 or declined > 0 then
    -- HERE: ADD
    -- HERE: WRITE
  end
  used, in_tick = cum - base, tick
until is_last
return pack('<I6I7I7Bd', in_tick, used, lease, above, share) .. table.concat(replies)
