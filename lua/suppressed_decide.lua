-- SUPPRESSED DECIDES: up to `soft` it admits everything, above `hard` nothing. Between the limits it
-- admits a share of the calls: the share that the rate is of the perceived demand.
--
-- Takes:  what window.lua leaves, and RECENT, RECENT_S, WINDOW_S, REFRESH
--         count, soft, hard     the units asked for, and the limits
--         rate                  units per second
--         draw                  drawn by the caller, from 0 to below 1
--         afresh                whether to compute the perceived demand anew, even if the kept one is good
-- Leaves: total                 the usage, if `count` were admitted
--         admitted              whether it is
--         factor                the share of calls that are declined; nil up to `soft`
--         perceived, good_until changed where the perceived demand was computed anew
--
-- The perceived demand is the greater of the units observed, admitted and declined together, over the
-- window and over the last second, both per second. RECENT is to that second what SPAN is to the
-- window, RECENT_S how long its units count, and WINDOW_S the window that was asked for, in seconds.
-- It is good for REFRESH microseconds. (If it is good for longer, the clock was set back.)
local total = cum - base + count
if afresh or soft < total and total <= hard
  and (now >= good_until or now + REFRESH < good_until)
then
  local least, from, dfrom = tick - RECENT + 1, cum, dcum
  if newest >= least then
    from, dfrom = start, dstart
    if first < n then
      -- FIND
      local oldest = find(call, unpack, key, s, off, M, MARK, 1, least, first, n)
      if oldest < n then
        local mark, at, _ = s, oldest * M - off, nil
        if at < 0 then mark, at = call('GETRANGE', key, at + off, at + off + M - 1), 0 end
        _, from, dfrom = unpack(MARK, mark, at + 1)
      end
    end
    if from < base then from = base end
  end
  -- Differences first: sums of large counts would round.
  local over_window = ((cum - base) + (dcum - dbase)) / WINDOW_S
  local over_recent = ((cum - from) + (dcum - dfrom)) / RECENT_S
  perceived = over_window > over_recent and over_window or over_recent
  good_until = now + REFRESH
  if good_until > 9007199254740991 then good_until = 9007199254740991 end
end

local factor
if total > hard then
  factor = 1
elseif total > soft then
  factor = perceived > rate and 1 - rate / perceived or 0
end
local admitted = total <= hard and (not factor or draw >= factor)
