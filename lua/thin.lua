-- THINNING: between the limits, the share of calls that is admitted is the share that the rate is of
-- the perceived demand. `draw` was drawn by the caller, from 0 to below 1.
local factor
if total > hard then
  factor = 1
elseif total > soft then
  factor = perceived > rate and 1 - rate / perceived or 0
end
local admitted = total <= hard and (not factor or draw >= factor)
