;; Eighteen tuples, each of which holds the one before it twice: 2^18 items when written out, and no type has a name.
;; Describing it must stay small, by references, or be refused; it must take neither seconds nor hundreds of megabytes.
;; levels(absent) is 18.
(component
  (type $type0 (tuple u8 u8))
  (type $type1 (tuple $type0 $type0))
  (type $type2 (tuple $type1 $type1))
  (type $type3 (tuple $type2 $type2))
  (type $type4 (tuple $type3 $type3))
  (type $type5 (tuple $type4 $type4))
  (type $type6 (tuple $type5 $type5))
  (type $type7 (tuple $type6 $type6))
  (type $type8 (tuple $type7 $type7))
  (type $type9 (tuple $type8 $type8))
  (type $type10 (tuple $type9 $type9))
  (type $type11 (tuple $type10 $type10))
  (type $type12 (tuple $type11 $type11))
  (type $type13 (tuple $type12 $type12))
  (type $type14 (tuple $type13 $type13))
  (type $type15 (tuple $type14 $type14))
  (type $type16 (tuple $type15 $type15))
  (type $type17 (tuple $type16 $type16))
  (core module $code
    ;; The absent value, passed by pointer because it flattens to more than 16 values, takes 2^18 bytes and one.
    (memory (export "memory") 8)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (i32.const 1024))
    (func (export "levels") (param i32) (result i32)
      (i32.const 18)))
  (core instance $code (instantiate $code))
  (alias core export $code "memory" (core memory $memory))
  (alias core export $code "realloc" (core func $realloc))
  (func (export "levels") (param "value" (option $type17)) (result u32)
    (canon lift (core func $code "levels") (memory $memory) (realloc $realloc))))
