;; Fails with a text of a megabyte.
(component
  (core module $code
    (memory (export "memory") 17)
    (data (i32.const 32) "\01\00\00\00\00\04\00\00\00\00\10\00")
    (func (export "fail") (result i32)
      (memory.fill (i32.const 1024) (i32.const 0x78) (i32.const 1048576))
      (i32.const 32)))
  (core instance $code (instantiate $code))
  (func (export "fail") (result (result (error string)))
    (canon lift (core func $code "fail") (memory (core memory $code "memory")))))
