-- The answer of Suppressed: 1, or whether it was admitted and the factor, to its last bit.
if not factor then return 1 end
return pack('<Bd', admitted and 1 or 0, factor)
