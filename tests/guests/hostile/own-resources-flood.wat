;; Makes ten million resources of its own: nothing of them is in its memory, each takes a place in the host's table.
(component
  (type $thing (resource (rep i32)))
  (core func $new (canon resource.new $thing))
  (core module $code
    (import "thing" "new" (func $new (param i32) (result i32)))
    (func (export "flood") (result i32)
      (local $made i32)
      (loop $more
        (drop (call $new (local.get $made)))
        (br_if $more (i32.lt_u (local.tee $made (i32.add (local.get $made) (i32.const 1))) (i32.const 10000000))))
      (local.get $made)))
  (core instance $code (instantiate $code (with "thing" (instance (export "new" (func $new))))))
  (func (export "flood") (result u32) (canon lift (core func $code "flood"))))
