;; Answers with a million texts of a megabyte, all of which are the same bytes of its memory: a terabyte from nine
;; megabytes.
(component
  (core module $code
    (memory (export "memory") 150)
    (data (i32.const 16) "\00\04\00\00\40\42\0f\00")
    (func (export "texts") (result i32)
      (local $next i32)
      (memory.fill (i32.const 8389632) (i32.const 0x78) (i32.const 1048576))
      (local.set $next (i32.const 1024))
      (loop $more
        (i32.store (local.get $next) (i32.const 8389632))
        (i32.store offset=4 (local.get $next) (i32.const 1048576))
        (br_if $more (i32.lt_u (local.tee $next (i32.add (local.get $next) (i32.const 8))) (i32.const 8001024))))
      (i32.const 16)))
  (core instance $code (instantiate $code))
  (func (export "texts") (result (list string)) (canon lift (core func $code "texts") (memory (core memory $code "memory")))))
