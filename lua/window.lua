-- ONE KEY'S WINDOW
--
-- A key's usage in a window is one STRING: `{prefix}:a:{window}.{bucket}:{key}` for Absolute, with `s`
-- for Suppressed; window and bucket are in milliseconds. It holds one cumulative count of all units ever
-- admitted, and for each bucket of time (its number is its *tick*) the count at which the bucket began.
-- The usage of the window is the count less the count at which the oldest bucket still inside began. So
-- no decision has to add buckets up, however many there are.
--
--   one bucket:    | cum | newest |
--   more buckets:  | mark 0 | .. | mark n-1 | end |
--   the end:       | cum | newest | base | nbase | start | otick | first | n | seal |
--   a mark:        | tick | start |
--
--   cum      units admitted, from some origin
--   newest   the tick of the newest bucket, which has no mark yet
--   start    what cum was when a bucket began; in the end: when the newest began
--   base     what cum was when the oldest live bucket began: usage = cum - base. A refund raises it,
--            so that the oldest units go first
--   otick    the tick of the oldest live bucket, if that is not the newest
--   nbase    what cum was when the bucket after that one began, so that most rejections can tell how
--            long to wait without looking at marks
--   first    the index of the oldest live mark; n: only the newest bucket is live
--   n        how many marks there are
--   seal     SEAL, two bytes that no text has: so that other values are told from this
--
-- With one bucket, base and start are 0. All are unsigned integers, little-endian: ticks in 6 bytes,
-- counts in 7, indices in 3. Numbers in Lua are doubles, so counts stay below 2^53. Suppressed counts
-- declined units too, in the same marks; it has formats of its own, with its fields at their ends.
--
-- TIME. A tick is floor(server time / G). A bucket counts until its end is older than the window: it
-- is live while now - tick < SPAN, in ticks, SPAN being the window's buckets and one. The time to wait
-- is taken from the clock as it is, since the call fits when that clock gets there.
--
-- A CLOCK THAT GOES BACK. Units count for at least the window, by the clock, whatever it does. While it
-- is less than the window behind the newest bucket, calls are counted in that bucket, so that units
-- count for at most twice the window and a bucket. If it is the window or more behind, it had run
-- ahead before, perhaps by a day: then the first call after the correction, whatever it asks, moves all
-- units that count into the current bucket, and renews the value's TTL. From then on they count for at
-- least the window and at most a bucket more.
--
-- A reset of a key that units are leased of leaves an empty bucket ahead of the clock; see reset.lua.
--
-- COST. A call needs little more than the end of the value: one GETRANGE reads that, and the last 4
-- marks with it. Further units of the newest bucket overwrite the count. A new bucket turns the newest
-- into a mark, written over the old end. A value of up to 4 marks is then rewritten whole, without
-- expired marks; a longer one when half of its marks have expired. Older marks are looked at
-- when the oldest bucket has expired, or when a rejection needs more than that bucket to expire: from
-- the oldest on, 32 at once, then by halving. Rejections and looks write nothing.
--
-- Commands get their numbers as text: Redis would print each number with 17 digits, which takes as long
-- as a command. Numbers that are the same in every call are text from the start.
--
-- The server forgets a value by itself, TTL (the window and two buckets) after its newest bucket
-- began.
--
-- UNDO takes units out of the very bucket that they were admitted in. What is left in a bucket is its
-- end (the start of the next; of the newest: cum) less its start, or less base where a refund has
-- raised base above its start: so nothing is given back twice. An undo of k units takes k from cum and
-- from the start of each later bucket, and from nbase if the bucket is the oldest: then all is as if
-- they had never been admitted, hints included. It adds nothing to the value; a bucket may end up
-- empty, with the start of the next. The later marks are rewritten: as a rule there are none.
--
-- SCRIPTS. A script is settings, the formats of a strategy, this file, and the parts of an operation,
-- one after the other, as one chunk. src/redis/script.rs puts them together; parts of a line or two
-- stand in src/redis/script/parts.rs. A script for several keys has the section EACH KEY inside of a loop.
--
-- Takes:  what formats.lua leaves
--         now                   the time in microseconds, set by tests; else nil
--         G, SPAN, TTL          the bucket in microseconds; SPAN as above; TTL in milliseconds, a text
-- Leaves: call, pack, unpack, key
--         now, tick             the server's time, and the tick to count in
--         s, off                the end of the value as it was read, and where in the value it begins
--         cum .. n              the fields as above, without what has expired; under Suppressed also
--                               dcum, dbase, dstart, good_until, perceived
--         empty                 nothing counts: the value, if any, is not worth keeping

-- The least index from lo to below hi of a mark that has at least `least` in the field `by` (1: tick,
-- 2: start); hi if there is none. Both grow from mark to mark. `s` is the value from byte `off` on.
--
-- Few calls need it, and to make it takes an allocation, so script.rs puts it in place of FIND where it
-- is needed. All that it uses are arguments, since each variable that it captured would cost another.
local function find(call, unpack, key, s, off, M, MARK, by, least, lo, hi)
  local in_hand = off / M
  if lo < in_hand and in_hand < hi then
    local tick, start = unpack(MARK, s, 1)
    if (by == 1 and tick or start) < least then lo = in_hand + 1 else hi = in_hand end
  end
  if lo < hi and lo < in_hand then
    local upto = lo + 32 < hi and lo + 32 or hi
    s, off = call('GETRANGE', key, lo * M, upto * M - 1), lo * M
    local tick, start = unpack(MARK, s, #s - M + 1)
    if (by == 1 and tick or start) >= least then
      hi = upto - 1
    else
      lo = upto
      while hi - lo > 32 do
        local middle = (lo + hi - (lo + hi) % 2) / 2
        tick, start = unpack(MARK, call('GETRANGE', key, middle * M, middle * M + M - 1))
        if (by == 1 and tick or start) < least then lo = middle + 1 else hi = middle end
      end
      if lo < hi then s, off = call('GETRANGE', key, lo * M, hi * M - 1), lo * M end
    end
  end
  while lo < hi do
    local middle = (lo + hi - (lo + hi) % 2) / 2
    local tick, start = unpack(MARK, s, middle * M - off + 1)
    if (by == 1 and tick or start) < least then lo = middle + 1 else hi = middle end
  end
  return lo
end

-- EACH CALL
local call, pack, unpack, key = redis.call, struct.pack, struct.unpack, KEYS[1]
if now then
  now = now + 0
else
  local time = call('TIME')
  now = time[1] * 1000000 + time[2]
end

-- EACH KEY
local tick = now / G
tick = tick - tick % 1

local s = call('GETRANGE', key, READ, '-1')
local len, off, empty = #s, 0, false
local cum, newest, base, nbase, start, otick, first, n, seal
local dcum, dbase, dstart, good_until, perceived
local foreign = false
if len >= END then
  cum, newest, base, nbase, start, otick, first, n, seal, dcum, dbase, dstart, good_until, perceived =
    unpack(MANY, s, len - END + 1)
  off = n * M + END - len
  foreign = seal ~= SEAL or off ~= 0 and n <= 4
elseif len == ONE_END then
  cum, newest, dcum, good_until, perceived = unpack(ONE, s)
  base, start, first, n, dbase, dstart = 0, 0, 0, 0, 0, 0
  -- Seven letters read as a count are larger than any count.
  foreign = cum > 9007199254740991
elseif len == 0 then
  newest, good_until, perceived = -SPAN, 0, 0
else
  foreign = true
end
if foreign then
  return redis.error_reply('WRONGTYPE Not the window of a rate limiter under this key')
end

-- While the newest bucket lasts, nothing has expired since it began.
if tick < newest then
  if newest - tick < SPAN - 1 then
    tick = newest
  else
    cum, base, start, first, n, newest = cum - base, 0, 0, 0, 0, tick
    if declined then dcum, dbase, dstart = dcum - dbase, 0, 0 end
    call('SET', key, pack(ONE, cum, tick, dcum, good_until, perceived), 'PX', TTL)
  end
elseif tick - newest >= SPAN then
  cum, base, start, first, n, dcum, dbase, dstart, empty = 0, 0, 0, 0, 0, 0, 0, 0, true
elseif first < n and tick - otick >= SPAN then
  -- The oldest bucket has expired: in steady use that one alone, so the next is looked at first.
  local least, its_start, its_dstart = tick - SPAN + 1, start, dstart
  first = first + 1
  while first < n do
    local two, at = s, first * M - off
    if at < 0 then two, at = call('GETRANGE', key, first * M, first * M + M + M - 1), 0 end
    otick, its_start, its_dstart = unpack(MARK, two, at + 1)
    if otick >= least then
      nbase = start
      if first + 1 < n then
        local _, its_end = unpack(MARK, two, at + M + 1)
        nbase = its_end
      end
      break
    end
    -- FIND
    first = find(call, unpack, key, s, off, M, MARK, 1, least, first + 1, n)
    its_start, its_dstart = start, dstart
  end
  if its_start > base then base = its_start end
  dbase = its_dstart
end
