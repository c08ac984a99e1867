;; Looks through all the memory, globals and table that it was given for anything that somebody left there, and leaves
;; its own mark everywhere. Answers with how many marks it found; crashes when it does not get its memory.
(component
  (core module $code
    (memory 1)
    (table 1000 funcref)
    (elem declare func $mark)
    (global $left (mut i64) (i64.const 0))
    (func $mark)
    (func (export "look") (param $mark i64) (param $pages i32) (result i32)
      (local $found i32)
      (local $next i32)
      (local $end i32)
      (if (i32.eq (memory.grow (i32.sub (local.get $pages) (i32.const 1))) (i32.const -1)) (then unreachable))
      (local.set $end (i32.mul (local.get $pages) (i32.const 65536)))
      (loop $more
        (local.set $found (i32.add (local.get $found) (i64.ne (i64.load (local.get $next)) (i64.const 0))))
        (i64.store (local.get $next) (local.get $mark))
        (br_if $more (i32.lt_u (local.tee $next (i32.add (local.get $next) (i32.const 8))) (local.get $end))))
      (local.set $next (i32.const 0))
      (loop $more
        (local.set $found (i32.add (local.get $found) (i32.eqz (ref.is_null (table.get (local.get $next))))))
        (table.set (local.get $next) (ref.func $mark))
        (br_if $more (i32.lt_u (local.tee $next (i32.add (local.get $next) (i32.const 1))) (i32.const 1000))))
      (local.set $found (i32.add (local.get $found) (i64.ne (global.get $left) (i64.const 0))))
      (global.set $left (local.get $mark))
      (local.get $found)))
  (core instance $code (instantiate $code))
  (func (export "look") (param "mark" u64) (param "pages" u32) (result u32)
    (canon lift (core func $code "look"))))
