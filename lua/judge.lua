-- JUDGES whether `count` more units fit under `capacity`. If they do not, the reply is how many
-- microseconds to wait, the units that still count then, and the usage; or the usage alone, if they
-- never fit. In 7 bytes each: a packed string takes Redis less time than a list.
--
-- Takes:  what window.lua leaves; count; capacity
-- Leaves: usage; rejection, the reply if they do not fit
local usage, rejection = cum - base, nil
if count > capacity then
  rejection = pack('<I7', usage)
elseif usage + count > capacity then
  -- The call fits once base has reached `need`: when the bucket in which cum reached it has expired.
  -- (Differences only: the sum of two large counts would round.)
  local need, gone, left = cum - (capacity - count), newest, 0
  if first < n and need <= start then
    if need <= nbase then
      gone, left = otick, cum - nbase
    else
      -- FIND
      local after = find(call, unpack, key, s, off, M, MARK, 2, need, first + 2, n)
      local two, at = s, (after - 1) * M - off
      if at < 0 then two, at = call('GETRANGE', key, at + off, at + off + M + M - 1), 0 end
      gone = unpack(MARK, two, at + 1)
      left = cum - start
      if after < n then
        local _, its_start = unpack(MARK, two, at + M + 1)
        left = cum - its_start
      end
    end
  end
  rejection = pack('<I7I7I7', (gone + SPAN) * G - now, left, usage)
end
