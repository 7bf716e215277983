-- GIVES BACK up to `given` admitted units, the oldest first. Replies how many.
--
-- Takes:  what window.lua leaves; given
local used = cum - base
if given > used then given = used end
if given > 0 and n == 0 then
  call('SETRANGE', key, '0', pack(ONE, cum - given, newest, dcum, good_until, perceived))
elseif given > 0 then
  call('SETRANGE', key, n * M, pack(MANY, cum, newest, base + given, nbase, start, otick, first, n,
    SEAL, dcum, dbase, dstart, good_until, perceived))
end
return given
