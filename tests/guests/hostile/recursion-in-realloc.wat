;; Runs out of stack while the host is in the middle of handing over an argument.
(component
  (core module $code
    (memory (export "memory") 1)
    (func $recurse (export "realloc") (param i32 i32 i32 i32) (result i32)
      (i32.add (i32.const 1)
        (call $recurse (local.get 0) (local.get 1) (local.get 2) (local.get 3))))
    (func (export "length") (param i32 i32) (result i32) (local.get 1)))
  (core instance $code (instantiate $code))
  (func (export "length") (param "text" string) (result u32)
    (canon lift (core func $code "length") (memory (core memory $code "memory")) (realloc (core func $code "realloc")))))
