# Records tests/redis-7-pubsub.txt from a running redis-server.
import socket,shlex,sys
P=int(sys.argv[1])
def esc(b):
    out=''
    for c in b:
        ch=chr(c)
        if ch=='\\': out+='\\\\'
        elif ch=='\r': out+='\\r'
        elif ch=='\n': out+='\\n'
        elif ch=='\t': out+='\\t'
        elif 32<=c<127: out+=ch
        else: out+='\\x%02x'%c
    return out
class C:
    def __init__(s): s.s=socket.create_connection(('127.0.0.1',P)); s.s.settimeout(0.12)
    def recv(s):
        out=b''
        while True:
            try: d=s.s.recv(65536)
            except socket.timeout: return out,False
            if not d: return out,True
            out+=d
    def send(s,words):
        b=b'*%d\r\n'%len(words)
        for x in words:
            x=x.encode(); b+=b'$%d\r\n%s\r\n'%(len(x),x)
        s.s.sendall(b)
conns={}
for line in sys.stdin:
    line=line.rstrip('\n')
    if line.startswith('# '):
        conns={}
        C().send(['FLUSHALL'])
        print(line); continue
    if not line: print(); continue
    name,_,req=line.partition('> ')
    if name not in conns: conns[name]=C()
    conns[name].send(shlex.split(req))
    print(line)
    order=[name]+sorted(n for n in conns if n!=name)
    for n in order:
        got,closed=conns[n].recv()
        if got: print(f'{n}= {esc(got)}')
        if closed: print(f'{n} closed'); del conns[n]
