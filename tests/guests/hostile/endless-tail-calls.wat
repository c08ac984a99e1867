;; Two functions that hand over to each other without end and without stack: neither a loop nor a recursion.
(component
  (core module $code
    (func $ping (export "ping") (result i32) (return_call $pong))
    (func $pong (result i32) (return_call $ping)))
  (core instance $code (instantiate $code))
  (func (export "ping") (result u32) (canon lift (core func $code "ping"))))
