-- PERCEIVING the demand, in units per second: the greater of what was observed, admitted and declined
-- together, over the window and over the last second. RECENT is to that second what SPAN is to the
-- window; RECENT_S is how long its units count, WINDOW_S the window that was asked for, in seconds.
-- Only if what was perceived before is `stale`; then good for REFRESH microseconds.
if stale then
  local least, from, dfrom = tick - RECENT + 1, cum, dcum
  if newest >= least then
    from, dfrom = start, dstart
    if first < n then
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
