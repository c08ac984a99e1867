;; Answers with a million options of options of options, each of which is a box of its own in the host.
(component
  (core module $code
    (memory (export "memory") 80)
    (data (i32.const 16) "\00\04\00\00\40\42\0f\00")
    (func (export "boxes") (result i32)
      (memory.fill (i32.const 1024) (i32.const 1) (i32.const 4000000))
      (i32.const 16)))
  (core instance $code (instantiate $code))
  (func (export "boxes") (result (list (option (option (option u8)))))
    (canon lift (core func $code "boxes") (memory (core memory $code "memory")))))
