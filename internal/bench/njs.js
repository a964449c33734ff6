// The token check in njs: the signature, exp, and pay against the Authorization header.
import crypto from 'crypto';

const secret = 'SECRET';

function genuine(r) {
    try {
        const parts = r.headersIn['Approov-Token'].split('.');
        const mac = crypto.createHmac('sha256', secret).update(parts[0] + '.' + parts[1]).digest('base64url');
        if (parts.length !== 3 || mac !== parts[2]) {
            return '';
        }
        const claims = JSON.parse(Buffer.from(parts[1], 'base64url'));
        const bound = crypto.createHash('sha256').update(r.headersIn.Authorization).digest('base64');
        return claims.exp > Date.now() / 1000 && claims.pay === bound ? 'yes' : '';
    } catch (e) {
        return '';
    }
}

export default {genuine};
