;; Grows its memory by nothing, a thousand million times: each is a call of the engine that costs the guest nothing.
(component
  (core module $code
    (memory 1)
    (func (export "grow")
      (local $left i32)
      (local.set $left (i32.const 1000000000))
      (loop $again
        (drop (memory.grow (i32.const 0)))
        (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))))
  (core instance $code (instantiate $code))
  (func (export "grow") (canon lift (core func $code "grow"))))
