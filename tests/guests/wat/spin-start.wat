;; A start function that never returns: the instance is never ready.
;; Must be stopped by fuel or by the deadline, like a call that never returns. Uploading it must not run it.
(component
  (core module $code
    (func $spin (loop $forever (br $forever)))
    (start $spin)
    (func (export "one") (result i32) (i32.const 1)))
  (core instance $code (instantiate $code))
  (func (export "one") (result u32) (canon lift (core func $code "one"))))
