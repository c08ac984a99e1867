;; Answers with a list of 2^32 - 1 numbers of eight bytes: their size does not fit into the address space.
(component
  (core module $code
    (memory (export "memory") 1)
    (data (i32.const 16) "\00\04\00\00\ff\ff\ff\ff")
    (func (export "numbers") (result i32) (i32.const 16)))
  (core instance $code (instantiate $code))
  (func (export "numbers") (result (list u64))
    (canon lift (core func $code "numbers") (memory (core memory $code "memory")))))
