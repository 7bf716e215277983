-- ADDS `count` admitted and `declined` declined units in the bucket `tick`, whatever the limit. Replies
-- 0 if that is more than can be counted exactly. It writes nothing: WRITE of src/redis/script/parts.rs does.
--
-- Takes:  what window.lua leaves; count; declined (nil under Absolute)
-- Leaves: value, offset, renew  what to write, and at which offset; nil: it is the whole value. Whether
--                               to renew the TTL, if it is not
--         counted               a reply: the part of it that begins with cum and the bucket, and goes on
--                               with base, if that is not 0. So nothing has to be packed again

-- marks: the live marks, where the value is to be written whole.
local MOST, marks, clipped = 9007199254740991, nil, false
if cum + count > MOST or declined and dcum + declined > MOST then
  -- Doubles would round from here on: begin to count from 0 again.
  if cum - base + count > MOST then return 0 end
  if declined then
    -- Declined units only measure the demand. If they become more than can be counted, they are clipped
    -- to the most that can, all in this bucket, so that the demand is never taken for less.
    clipped = dcum - dbase + declined > MOST
    if clipped then dbase = MOST end
  else
    dbase = 0
  end
  local function less(position, origin) return position > origin and position - origin or 0 end
  local again, from = {}, first
  while from < n do
    local upto = from + 1000 < n and from + 1000 or n
    local chunk = call('GETRANGE', key, from * M, upto * M - 1)
    for at = 1, #chunk, M do
      local its_tick, its_start, its_dstart = unpack(MARK, chunk, at)
      again[#again + 1] = pack(MARK, its_tick, less(its_start, base), less(its_dstart, dbase))
    end
    from = upto
  end
  marks = table.concat(again)
  if first < n then nbase = less(nbase, base) end
  cum, start, base, first, n = cum - base, less(start, base), 0, 0, n - first
  if declined then
    dcum, dstart, dbase = clipped and MOST - declined or dcum - dbase, less(dstart, dbase), 0
  end
end

local was, dwas = cum, clipped and 0 or dcum
cum = cum + count
if declined then dcum = dcum + declined end

local counted, value, offset, renew
if empty or marks and n == 0 and tick == newest then
  counted = pack(ONE, cum, tick, dcum, good_until, perceived)
  value = counted
elseif tick == newest then
  if n == 0 then
    counted = pack(SAME_OF_ONE, cum, newest, dcum, good_until, perceived)
    value, offset = counted, '0'
  elseif marks then
    counted = pack(MANY, cum, newest, base, nbase, start, otick, first, n, SEAL,
      dcum, dbase, dstart, good_until, perceived)
    value = marks .. counted
  else
    counted = pack(SAME_OF_MANY, cum, newest, base, nbase, start, otick, first, n, SEAL,
      dcum, dbase, dstart, good_until, perceived)
    value, offset = counted, string.format('%d', n * M)
  end
else
  if first == n then
    marks, otick, nbase, first, n = '', newest, was, 0, 0
  elseif not marks then
    if n <= 4 then
      marks = s:sub(first * M + 1, n * M)
    elseif first >= 8 and first + first >= n then
      marks = call('GETRANGE', key, first * M, n * M - 1)
    end
    if marks then first, n = 0, n - first end
  end
  counted = pack(MANY, cum, tick, base, nbase, was, otick, first, n + 1, SEAL,
    dcum, dbase, dwas, good_until, perceived)
  value = pack(MARK, newest, start, dstart) .. counted
  if marks then
    value = marks .. value
  else
    offset, renew = string.format('%d', n * M), true
  end
end
