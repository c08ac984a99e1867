;; Works for as many rounds as it is told and burns the same fuel for them every time.
(component
  (core module $code
    (memory 1)
    (func (export "work") (param $rounds i32) (result i32)
      (local $sum i32)
      (loop $more
        (local.set $sum (i32.add (i32.mul (local.get $sum) (i32.const 31)) (local.get $rounds)))
        (memory.fill (i32.const 0) (local.get $sum) (i32.const 64))
        (br_if $more (local.tee $rounds (i32.sub (local.get $rounds) (i32.const 1)))))
      (local.get $sum)))
  (core instance $code (instantiate $code))
  (func (export "work") (param "rounds" u32) (result u32) (canon lift (core func $code "work"))))
