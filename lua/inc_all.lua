-- SEVERAL LIMITS AT ONCE: admits the calls of all keys, or none. Replies with the replies for each key, one
-- after the other, each behind a byte with its length: a string takes Redis less time than a list. A
-- key that fits where others do not replies that it would have.
--
-- It decides on all keys first, and only then writes. Under Absolute it decides on each, so that the
-- longest wait is known. Under Suppressed the first call that is declined ends it, and is the only one
-- that is counted. src/redis/script/several.rs puts the parts that decide in place of DECIDE, and those
-- that write in place of WRITE. Functions would be neater; but to make one takes longer than a command,
-- if it uses as many variables.
--
-- For up to four keys under Absolute, it repeats these parts for each key instead of looping, with a variable
-- for each entry of the lists in place of LISTS: that is quicker than tables.
--
-- Takes:  what window.lua leaves before its section EACH KEY
--         ARGV[1]               the arguments of all keys, packed, one after the other
-- DECIDE: takes key, i, and position, where in these arguments the key's begin, and moves that on; leaves
--         the reply so far in reply; what there is to write in values[i], at offsets[i] or else as a whole,
--         with expiries[i] for a TTL, if it is to be renewed; and the first and the last key to be written
-- WRITE:  takes these lists, KEYS and i
local reply, char = '', string.char
local position, first_written, last_written = 1, 1, #KEYS
-- LISTS
-- Four keys have room from the start.
local values, offsets, expiries = { nil, nil, nil, nil }, { nil, nil, nil, nil }, {}
for i = 1, #KEYS do
  local key = KEYS[i]
  -- DECIDE
end
for i = first_written, last_written do
  -- WRITE
end
return reply
