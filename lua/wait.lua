-- Somebody waits to be admitted: what is not admitted is not counted. Above the hard limit, which is
-- the capacity to be judged by next, time helps; between the limits another draw (-1) may.
if not admitted and total <= hard then return -1 end
local capacity = hard
