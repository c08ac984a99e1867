;; Traps: by an instruction that must not be reached, by a division, and by a read beyond the memory.
;; Each must be stopped as a trap, and say nothing of the server.
(component
  (core module $code
    (memory 1)
    (func (export "unreachable") (unreachable))
    (func (export "divide") (param i32 i32) (result i32)
      (i32.div_u (local.get 0) (local.get 1)))
    (func (export "read") (param i32) (result i32)
      (i32.load (local.get 0))))
  (core instance $code (instantiate $code))
  (func (export "unreachable") (canon lift (core func $code "unreachable")))
  (func (export "divide") (param "a" u32) (param "b" u32) (result u32)
    (canon lift (core func $code "divide")))
  (func (export "read") (param "address" u32) (result u32)
    (canon lift (core func $code "read"))))
